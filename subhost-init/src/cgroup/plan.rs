//! What becomes of limits and devices on a host: plain data, made without privileges.

use std::fmt;
use std::path::PathBuf;

use super::devices::DeviceRule;
use super::hierarchy::Hierarchies;

/// The cgroup that those of all guests are below, in each hierarchy.
pub const PARENT: &str = "subhost";

/// The period that processor time is counted in, in microseconds: the kernel's default.
const PERIOD: u64 = 100_000;

/// How much of the host a guest gets. What is not given is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Limits {
    /// Processor time, in thousandths of a processor; less than ten count as ten.
    pub cpu_thousandths: Option<u32>,
    /// Memory in bytes. There is no swap beside it.
    pub memory_bytes: Option<u64>,
    /// Processes and threads.
    pub tasks: Option<u32>,
    /// Weight of its I/O, `1` to `10000`; that of everybody else is 100.
    pub io_weight: Option<u32>,
}

/// What a cgroup enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Subject {
    /// [`Limits::cpu_thousandths`].
    Cpu,
    /// [`Limits::memory_bytes`].
    Memory,
    /// [`Limits::tasks`].
    Tasks,
    /// [`Limits::io_weight`].
    IoWeight,
    /// Which devices may be opened.
    Devices,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Subject::Cpu => "limit of processor time",
            Subject::Memory => "limit of memory",
            Subject::Tasks => "limit of processes",
            Subject::IoWeight => "weight of I/O",
            Subject::Devices => "device filter",
        })
    }
}

/// Something that was asked for and is not enforced on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Unenforced {
    /// What.
    pub subject: Subject,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Unenforced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} is not enforced: {}", self.subject, self.reason)
    }
}

/// Which interface a hierarchy has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// The old one: a hierarchy for each controller or a few.
    Legacy,
    /// The new one: one for all.
    Unified,
}

/// A value to be written into a file of a cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// What it is for.
    pub subject: Subject,
    /// The file and the value, or several of which the first that this kernel has is written.
    pub files: Vec<(&'static str, String)>,
    /// Whether it only completes another one: kernels without the file are common.
    pub extra: bool,
}

/// A cgroup in one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedGroup {
    /// The interface.
    pub version: Version,
    /// Where the hierarchy is mounted.
    pub mount_point: PathBuf,
    /// The controllers to be turned on for it (version 2).
    pub controllers: Vec<&'static str>,
    /// What is written there.
    pub settings: Vec<Setting>,
}

/// The cgroup of a guest: a directory of one name in all hierarchies that are needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupPlan {
    /// Its name below [`PARENT`].
    pub name: String,
    /// Where, that of version 2 first.
    pub groups: Vec<PlannedGroup>,
    /// What may be opened, beside [`DeviceRule::ALWAYS`].
    pub devices: Vec<DeviceRule>,
    /// What cannot be enforced here.
    pub unenforced: Vec<Unenforced>,
}

impl CgroupPlan {
    /// Makes the plan. That of version 2 is always there, where it is mounted: it ends and freezes a guest at once, and
    /// costs little. A hierarchy of version 1 is only taken for a limit that is asked for.
    #[must_use]
    pub fn make(name: &str, limits: &Limits, devices: &[DeviceRule], host: &Hierarchies) -> CgroupPlan {
        let mut plan = CgroupPlan {
            name: name.to_owned(),
            groups: Vec::new(),
            devices: devices.to_vec(),
            unenforced: Vec::new(),
        };
        if let Some(unified) = &host.unified {
            plan.groups.push(PlannedGroup::new(Version::Unified, unified.mount_point.clone()));
        }
        for (controller, unified, legacy) in settings(limits) {
            let here =
                host.unified.as_ref().is_some_and(|it| it.controllers.iter().any(|it| it == controller));
            let old = if controller == "io" { "blkio" } else { controller };
            if here && let Some(group) = plan.groups.first_mut() {
                group.controllers.push(controller);
                group.settings.extend(unified);
            } else if let Some(found) = host.legacy_with(old) {
                plan.legacy(found.mount_point.clone()).settings.extend(legacy);
            } else {
                let subject = unified[0].subject;
                let reason = format!("no hierarchy of cgroups has the controller {controller}");
                plan.unenforced.push(Unenforced { subject, reason });
            }
        }
        if host.unified.is_none() {
            match host.legacy_with("devices").map(|it| it.mount_point.clone()) {
                Some(mount_point) => {
                    let settings = plan.device_settings();
                    plan.legacy(mount_point).settings.extend(settings);
                }
                None => plan.unenforced.push(Unenforced {
                    subject: Subject::Devices,
                    reason: "no hierarchy of cgroups is mounted that can".to_owned(),
                }),
            }
        }
        plan
    }

    /// All devices that may be opened.
    pub(super) fn rules(&self) -> Vec<DeviceRule> {
        DeviceRule::ALWAYS.iter().chain(&self.devices).copied().collect()
    }

    /// The filter of devices in the words of version 1.
    pub(super) fn device_settings(&self) -> Vec<Setting> {
        let setting =
            |file, value| Setting { subject: Subject::Devices, files: vec![(file, value)], extra: false };
        let mut settings = vec![setting("devices.deny", "a".to_owned())];
        settings.extend(self.rules().iter().map(|rule| setting("devices.allow", rule.to_string())));
        settings
    }

    fn legacy(&mut self, mount_point: PathBuf) -> &mut PlannedGroup {
        let known = self.groups.iter().position(|group| group.mount_point == mount_point);
        let index = known.unwrap_or_else(|| {
            self.groups.push(PlannedGroup::new(Version::Legacy, mount_point));
            self.groups.len() - 1
        });
        &mut self.groups[index]
    }
}

impl PlannedGroup {
    pub(super) fn new(version: Version, mount_point: PathBuf) -> PlannedGroup {
        PlannedGroup { version, mount_point, controllers: Vec::new(), settings: Vec::new() }
    }
}

/// Each limit that is asked for: its controller, what is written in version 2, and what in version 1.
fn settings(limits: &Limits) -> Vec<(&'static str, Vec<Setting>, Vec<Setting>)> {
    let one = |subject, file, value: String| Setting { subject, files: vec![(file, value)], extra: false };
    let extra = |subject, file, value: String| Setting { extra: true, ..one(subject, file, value) };
    let mut all = Vec::new();
    if let Some(thousandths) = limits.cpu_thousandths {
        // The kernel counts from a millisecond on.
        let quota = (u64::from(thousandths) * PERIOD / 1000).max(1000);
        let subject = Subject::Cpu;
        all.push((
            "cpu",
            vec![one(subject, "cpu.max", format!("{quota} {PERIOD}"))],
            vec![
                one(subject, "cpu.cfs_period_us", PERIOD.to_string()),
                one(subject, "cpu.cfs_quota_us", quota.to_string()),
            ],
        ));
    }
    if let Some(bytes) = limits.memory_bytes {
        let subject = Subject::Memory;
        all.push((
            "memory",
            vec![
                one(subject, "memory.max", bytes.to_string()),
                extra(subject, "memory.swap.max", "0".to_owned()),
            ],
            vec![
                one(subject, "memory.limit_in_bytes", bytes.to_string()),
                // Memory and swap together; never less than the memory.
                extra(subject, "memory.memsw.limit_in_bytes", bytes.to_string()),
            ],
        ));
    }
    if let Some(tasks) = limits.tasks {
        let setting = one(Subject::Tasks, "pids.max", tasks.to_string());
        all.push(("pids", vec![setting.clone()], vec![setting]));
    }
    if let Some(weight) = limits.io_weight {
        let subject = Subject::IoWeight;
        // The scheduler BFQ knows weights up to 1000.
        let bfq = weight.min(1000).to_string();
        let files = vec![("io.weight", weight.to_string()), ("io.bfq.weight", bfq.clone())];
        all.push((
            "io",
            vec![Setting { subject, files, extra: false }],
            vec![one(subject, "blkio.bfq.weight", bfq)],
        ));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::hierarchy::{Legacy, Unified};
    use super::*;

    const ALL: Limits = Limits {
        cpu_thousandths: Some(1500),
        memory_bytes: Some(1 << 29),
        tasks: Some(20),
        io_weight: Some(5000),
    };

    fn unified(controllers: &[&str]) -> Option<Unified> {
        let controllers = controllers.iter().map(|&it| it.to_owned()).collect();
        Some(Unified { mount_point: "/sys/fs/cgroup".into(), controllers })
    }

    fn legacy(controllers: &[&str]) -> Legacy {
        Legacy {
            mount_point: format!("/cg/{}", controllers.join(",")).into(),
            controllers: controllers.iter().map(|&it| it.to_owned()).collect(),
        }
    }

    /// `directory/file=value`, of all that is written.
    fn written(plan: &CgroupPlan) -> Vec<String> {
        let groups = plan.groups.iter();
        groups
            .flat_map(|group| {
                group.settings.iter().map(|setting| {
                    let files: Vec<_> =
                        setting.files.iter().map(|(file, value)| format!("{file}={value}")).collect();
                    format!("{}/{}", group.mount_point.display(), files.join(" or "))
                })
            })
            .collect()
    }

    #[test]
    fn version_2_alone_takes_all() {
        let host = Hierarchies { unified: unified(&["cpu", "io", "memory", "pids"]), legacy: Vec::new() };
        let plan = CgroupPlan::make("web", &ALL, &[], &host);
        assert_eq!(
            written(&plan),
            [
                "/sys/fs/cgroup/cpu.max=150000 100000",
                "/sys/fs/cgroup/memory.max=536870912",
                "/sys/fs/cgroup/memory.swap.max=0",
                "/sys/fs/cgroup/pids.max=20",
                "/sys/fs/cgroup/io.weight=5000 or io.bfq.weight=1000",
            ]
        );
        assert_eq!(plan.groups[0].controllers, ["cpu", "memory", "pids", "io"]);
        assert_eq!(plan.unenforced, []);
    }

    #[test]
    fn a_hybrid_host_gives_only_what_is_asked_for() {
        let host = Hierarchies {
            unified: unified(&["pids"]),
            legacy: vec![legacy(&["cpu", "cpuacct"]), legacy(&["memory"]), legacy(&["devices"])],
        };
        let plain = CgroupPlan::make("web", &Limits::default(), &[], &host);
        assert_eq!((plain.groups.len(), plain.groups[0].version), (1, Version::Unified));
        let plan = CgroupPlan::make("web", &ALL, &[], &host);
        assert_eq!(
            written(&plan),
            [
                "/sys/fs/cgroup/pids.max=20",
                "/cg/cpu,cpuacct/cpu.cfs_period_us=100000",
                "/cg/cpu,cpuacct/cpu.cfs_quota_us=150000",
                "/cg/memory/memory.limit_in_bytes=536870912",
                "/cg/memory/memory.memsw.limit_in_bytes=536870912",
            ]
        );
        assert_eq!(
            plan.unenforced[0].to_string(),
            "the weight of I/O is not enforced: no hierarchy of cgroups has the controller io"
        );
    }

    #[test]
    fn version_1_alone_filters_devices_by_its_controller() {
        let host = Hierarchies { unified: None, legacy: vec![legacy(&["devices"]), legacy(&["blkio"])] };
        let limits = Limits { io_weight: Some(7), ..Limits::default() };
        let plan = CgroupPlan::make("web", &limits, &[], &host);
        let written = written(&plan);
        assert_eq!(
            written[..3],
            [
                "/cg/blkio/blkio.bfq.weight=7",
                "/cg/devices/devices.deny=a",
                "/cg/devices/devices.allow=c 1:3 rwm"
            ]
        );
        assert_eq!(written.len(), 2 + DeviceRule::ALWAYS.len());
        assert_eq!(plan.unenforced, []);
    }

    #[test]
    fn a_host_without_cgroups_enforces_nothing_and_says_so() {
        let plan = CgroupPlan::make("web", &ALL, &[], &Hierarchies::default());
        assert_eq!(plan.groups, []);
        let subjects: Vec<Subject> = plan.unenforced.iter().map(|it| it.subject).collect();
        use Subject::{Cpu, Devices, IoWeight, Memory, Tasks};
        assert_eq!(subjects, [Cpu, Memory, Tasks, IoWeight, Devices]);
    }
}
