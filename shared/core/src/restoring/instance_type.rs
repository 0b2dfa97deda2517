//! The instance type: whether it is offered, and what another one than the captured does to the instance.

use super::deciding::Deciding;
use super::fidelity::Difference;
use super::surroundings::{Ability, TypeFacts};
use crate::configuration::InstanceConfiguration;

impl Deciding<'_> {
    pub(super) fn set_type(&mut self, target: &mut InstanceConfiguration) {
        let asked = self.overrides.instance_type.as_ref();
        let Some(kind) = asked.or(target.instance_type.as_ref()).cloned() else {
            return;
        };
        let Some(facts) = self.around.instance_types.get(&kind).cloned() else {
            let problem = format!("{kind} is not offered here");
            self.block_type(problem, "a type that is offered in this region");
            return;
        };
        if let Some(architecture) = &target.architecture
            && !facts.architectures.contains(architecture)
        {
            let runs: Vec<&str> = facts.architectures.iter().map(String::as_str).collect();
            let problem = format!(
                "the boot volume is for {architecture}, and {kind} runs {}",
                runs.join(" and ")
            );
            self.block_type(problem, format!("a type that runs {architecture}"));
        }
        if self.captured.instance_type.as_ref() != Some(&kind) {
            self.check_boot(target, &kind, &facts);
            self.take_settings(target, &kind, &facts);
        }
        let own = (facts.default_cores, facts.default_threads_per_core);
        self.sets_cpu_options = (target.cpu.core_count, target.cpu.threads_per_core) != own;
        target.instance_type = Some(kind);
    }

    pub(super) fn block_type(&mut self, problem: String, choice: impl Into<String>) {
        self.block("overrides.instance_type", problem, [choice]);
    }

    /// Whether another type boots the captured volume.
    fn check_boot(&mut self, target: &InstanceConfiguration, kind: &str, facts: &TypeFacts) {
        let mode = target
            .boot_mode
            .as_deref()
            .filter(|mode| *mode != "uefi-preferred");
        if let Some(mode) = mode.filter(|mode| !facts.boot_modes.contains(*mode)) {
            let boots: Vec<&str> = facts.boot_modes.iter().map(String::as_str).collect();
            let problem = format!(
                "the boot volume boots by {mode}, and {kind} by {}",
                boots.join(" and ")
            );
            self.block_type(problem, format!("a type that boots by {mode}"));
        }
        if target.tpm_support.is_some() && !facts.abilities.contains(&Ability::Tpm) {
            let problem = format!("the boot volume asks for a TPM, and {kind} has none");
            self.block_type(problem, "a type with a TPM");
        }
    }

    /// What another type does not take is as the type has it.
    fn take_settings(&mut self, target: &mut InstanceConfiguration, kind: &str, facts: &TypeFacts) {
        let why = format!("{kind} was asked for");
        target.cpu.core_count = facts.default_cores;
        target.cpu.threads_per_core = facts.default_threads_per_core;
        if !facts.abilities.contains(&Ability::Bursts) {
            target.cpu_credits = None;
        } else if target.cpu_credits.is_none() {
            let own = Difference::announced("cpu_credits", "nothing", "what the type has by itself", &why);
            self.further.push(own);
        }
        self.because("cpu", why.clone());
        self.because("cpu_credits", why);
        let flags = [
            ("ebs_optimized", &mut target.ebs_optimized, Ability::EbsOptimized),
            (
                "hibernation_configured",
                &mut target.hibernation_configured,
                Ability::Hibernates,
            ),
            ("enclave_enabled", &mut target.enclave_enabled, Ability::Enclaves),
        ];
        for (field, flag, ability) in flags {
            if *flag == Some(true) && !facts.abilities.contains(&ability) {
                *flag = Some(false);
                self.reasons
                    .insert(field.to_owned(), format!("{kind} does not take it"));
            }
        }
        let weighting = target.bandwidth_weighting.as_ref();
        if weighting.is_some_and(|weighting| {
            weighting != "default" && !facts.bandwidth_weightings.contains(weighting)
        }) {
            target.bandwidth_weighting = Some("default".to_owned());
            self.because("bandwidth_weighting", format!("{kind} does not take it"));
        }
    }
}
