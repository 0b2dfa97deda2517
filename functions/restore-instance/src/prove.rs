//! Proving an instance good, within the proof's deadline.

use crate::RestoreInstance;
use crate::step::{Reached, Trouble, Work};
use holdfast_aws::restoring::instance;
use holdfast_aws::restoring::proof::{Verdict, ask_function, command, send_command, status_checks};
use holdfast_core::ids::InstanceId;
use holdfast_core::pacing::later;
use holdfast_core::words::counted;
use jiff::SignedDuration;
use serde_json::json;

impl RestoreInstance {
    /// EC2's status checks first, then the user's command, then the user's function. What says no, or has not said yes
    /// by the deadline, ends the restore.
    pub(crate) async fn prove(&self, work: &mut Work, id: &InstanceId) -> Result<Reached, Trouble> {
        if work.restore.made.proved.contains(id) {
            return Ok(Reached::Yes);
        }
        let verdict = self.verdict(work, id).await?;
        let proof = work.restore.blueprint.proof.clone().unwrap_or_default();
        let minutes = i64::from(proof.deadline_minutes);
        let deadline = later(work.restore.since, SignedDuration::from_mins(minutes));
        match verdict {
            Verdict::Good => {
                work.restore.made.proved.insert(id.clone());
                Ok(Reached::Yes)
            }
            Verdict::Bad(why) => Err(Trouble::Hopeless(format!("{id} is not good: {why}"))),
            Verdict::NotYet(why) if work.clock() >= deadline => Err(Trouble::Hopeless(format!(
                "{id} was not proved good within {}: {why}",
                counted(proof.deadline_minutes, "minute")
            ))),
            Verdict::NotYet(why) => Ok(Reached::NotYet(why)),
        }
    }

    async fn verdict(&self, work: &mut Work, id: &InstanceId) -> Result<Verdict, Trouble> {
        match status_checks(work.ec2(), id).await? {
            Verdict::Good => {}
            other => return Ok(other),
        }
        let Some(proof) = work.restore.blueprint.proof.clone() else {
            return Ok(Verdict::Good);
        };
        if let Some(ssm) = &proof.ssm {
            let clients = work.clients.clone();
            let sent = if let Some(sent) = work.restore.made.commands.get(id) {
                sent.clone()
            } else {
                let comment = format!("{} {}", work.restore.job_id, work.restore.resource_id);
                let Some(sent) = send_command(&clients.ssm, id, ssm, &comment).await? else {
                    return Ok(Verdict::NotYet(
                        "it does not answer to Systems Manager yet".to_owned(),
                    ));
                };
                work.restore.made.commands.insert(id.clone(), sent.clone());
                sent
            };
            match command(&clients.ssm, id, &sent).await? {
                Verdict::Good => {}
                other => return Ok(other),
            }
        }
        if let Some(lambda) = &proof.lambda {
            let view = instance::look(work.ec2(), id).await?;
            let question = json!({
                "job_id": work.restore.job_id,
                "resource_id": work.restore.resource_id,
                "instance_id": id,
                "private_ip_address": view.and_then(|view| view.private_address),
            });
            return Ok(ask_function(&work.clients.lambda, lambda, &question).await?);
        }
        Ok(Verdict::Good)
    }
}
