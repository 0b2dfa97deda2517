//! What EC2 says of instance types: a few families, with the figures that matter to a launch.

use crate::filter::{Filterable, Values, View};
use crate::tags::Tags;

/// A family: its name, its architectures, and which sizes it has.
struct Family(&'static str, &'static [&'static str], &'static [Size]);

/// A size: its name, its virtual CPUs, and how many interfaces it takes.
struct Size(&'static str, u32, usize);

const X86: &[&str] = &["x86_64"];
const X86_BOTH: &[&str] = &["i386", "x86_64"];
const ARM: &[&str] = &["arm64"];

const FIRST: &[Size] = &[Size("small", 1, 2), Size("medium", 1, 2), Size("large", 2, 3)];
const T2: &[Size] = &[
    Size("nano", 1, 2),
    Size("micro", 1, 2),
    Size("small", 1, 3),
    Size("medium", 2, 3),
    Size("large", 2, 3),
    Size("xlarge", 4, 3),
    Size("2xlarge", 8, 3),
];
const BURSTABLE: &[Size] = &[
    Size("nano", 2, 2),
    Size("micro", 2, 2),
    Size("small", 2, 3),
    Size("medium", 2, 3),
    Size("large", 2, 3),
    Size("xlarge", 4, 4),
    Size("2xlarge", 8, 4),
];
const FIXED: &[Size] = &[
    Size("large", 2, 3),
    Size("xlarge", 4, 4),
    Size("2xlarge", 8, 4),
    Size("4xlarge", 16, 8),
    Size("8xlarge", 32, 8),
    Size("12xlarge", 48, 8),
    Size("16xlarge", 64, 15),
    Size("24xlarge", 96, 15),
];
const GRAVITON: &[Size] = &[
    Size("medium", 1, 2),
    Size("large", 2, 3),
    Size("xlarge", 4, 4),
    Size("2xlarge", 8, 4),
    Size("4xlarge", 16, 8),
    Size("8xlarge", 32, 8),
    Size("12xlarge", 48, 8),
    Size("16xlarge", 64, 15),
];

const FAMILIES: &[Family] = &[
    Family("c5", X86, FIXED),
    Family("c6g", ARM, GRAVITON),
    Family("c6i", X86, FIXED),
    Family("c7g", ARM, GRAVITON),
    Family("m1", X86_BOTH, FIRST),
    Family("m5", X86, FIXED),
    Family("m5d", X86, FIXED),
    Family("m6g", ARM, GRAVITON),
    Family("m6i", X86, FIXED),
    Family("m7g", ARM, GRAVITON),
    Family("m7i", X86, FIXED),
    Family("r5", X86, FIXED),
    Family("r6g", ARM, GRAVITON),
    Family("r6i", X86, FIXED),
    Family("r7g", ARM, GRAVITON),
    Family("t2", X86_BOTH, T2),
    Family("t3", X86, BURSTABLE),
    Family("t3a", X86, BURSTABLE),
    Family("t4g", ARM, BURSTABLE),
];

/// An instance type.
#[derive(Debug, Clone)]
pub(crate) struct InstanceType {
    pub(crate) name: String,
    pub(crate) architectures: &'static [&'static str],
    pub(crate) cpus: u32,
    pub(crate) threads_per_core: u32,
    pub(crate) most_interfaces: usize,
    tags: Tags,
}

impl InstanceType {
    fn new(family: &Family, size: &Size) -> Self {
        // Types with one virtual CPU have no second thread, nor have Graviton and the oldest.
        let has_threads = family.1 == X86 && size.1 > 1;
        Self {
            name: format!("{}.{}", family.0, size.0),
            architectures: family.1,
            cpus: size.1,
            threads_per_core: if has_threads { 2 } else { 1 },
            most_interfaces: size.2,
            tags: Tags::default(),
        }
    }

    pub(crate) fn cores(&self) -> u32 {
        self.cpus / self.threads_per_core
    }

    pub(crate) fn is_burstable(&self) -> bool {
        self.name.starts_with('t')
    }

    /// Whether it is of the Nitro system, which the first families are not.
    pub(crate) fn is_nitro(&self) -> bool {
        !["m1.", "t2."].iter().any(|family| self.name.starts_with(family))
    }

    /// How it can boot.
    pub(crate) fn boot_modes(&self) -> &'static [&'static str] {
        match (self.architectures == ARM, self.is_nitro()) {
            (true, _) => &["uefi"],
            (false, true) => &["legacy-bios", "uefi"],
            (false, false) => &["legacy-bios"],
        }
    }

    /// Whether it can be EBS-optimised: `default` is always so.
    pub(crate) fn ebs_optimized_support(&self) -> &'static str {
        if self.is_nitro() { "default" } else { "unsupported" }
    }

    /// Graviton does not hibernate, nor do the first families.
    pub(crate) fn hibernates(&self) -> bool {
        self.is_nitro() && self.architectures != ARM
    }

    /// A parent instance keeps some of its virtual CPUs for itself.
    pub(crate) fn has_enclaves(&self) -> bool {
        self.is_nitro() && !self.is_burstable() && self.cpus >= 4
    }

    /// Whether it has disks of its host, which no mapping names.
    pub(crate) fn has_disks(&self) -> bool {
        self.name.starts_with("m5d.")
    }

    /// What its bandwidth can be weighted for.
    pub(crate) fn bandwidth_weightings(&self) -> &'static [&'static str] {
        let is_new = self.name.chars().nth(1) == Some('7');
        if is_new {
            &["default", "vpc-1", "ebs-1"]
        } else {
            &[]
        }
    }

    pub(crate) fn all() -> impl Iterator<Item = Self> {
        FAMILIES
            .iter()
            .flat_map(|family| family.2.iter().map(|size| Self::new(family, size)))
    }

    /// The type with a name; none for one that the simulator knows nothing of.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let (family, size) = name.split_once('.')?;
        let family = FAMILIES.iter().find(|known| known.0 == family)?;
        let size = family.2.iter().find(|known| known.0 == size)?;
        Some(Self::new(family, size))
    }
}

impl Filterable for InstanceType {
    const FILTERS: &'static [&'static str] = &[
        "burstable-performance-supported",
        "instance-type",
        "network-info.maximum-network-interfaces",
        "processor-info.supported-architecture",
        "vcpu-info.default-cores",
        "vcpu-info.default-threads-per-core",
        "vcpu-info.default-vcpus",
    ];

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn each_value(&self, filter: &str, _view: View<'_>, values: &mut Values<'_>) {
        match filter {
            "burstable-performance-supported" => values.shown(self.is_burstable()),
            "network-info.maximum-network-interfaces" => values.shown(self.most_interfaces),
            "processor-info.supported-architecture" => {
                self.architectures.iter().for_each(|one| values.text(one));
            }
            "vcpu-info.default-cores" => values.shown(self.cores()),
            "vcpu-info.default-threads-per-core" => values.shown(self.threads_per_core),
            "vcpu-info.default-vcpus" => values.shown(self.cpus),
            _ => values.text(&self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_figures_of_a_type() {
        let figures = |name| {
            let found = InstanceType::named(name).unwrap();
            (found.cores(), found.threads_per_core, found.most_interfaces)
        };
        assert_eq!(figures("t3.micro"), (1, 2, 2));
        assert_eq!(figures("m7g.large"), (2, 1, 3));
        assert_eq!(figures("m5.4xlarge"), (8, 2, 8));
        assert!(InstanceType::named("m5.nano").is_none());
        assert_eq!(InstanceType::all().count(), 19 * 8 - 5 - 4);
    }
}
