//! Where guests keep their start scripts: one row a kind of system.

use std::ffi::CString;

/// What PID 1 runs, each a command line: words with a blank between them, a `%` alone for the runlevel; `None` for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scripts {
    /// At the start.
    pub start: Option<CString>,
    /// Behind that, before the runlevel.
    pub boot: Option<CString>,
    /// For the runlevels but these three.
    pub level: Option<CString>,
    /// For runlevel 1.
    pub single: Option<CString>,
    /// For runlevel 0, the power-off.
    pub power_off: Option<CString>,
    /// For runlevel 6, the restart.
    pub reboot: Option<CString>,
    /// Whether the runlevel's program runs as long as the guest: then the guest is ready once it runs, and powers off when
    /// it ends.
    pub stays: bool,
}

/// A kind of system, told by its files.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    /// Its name.
    pub name: &'static str,
    /// What must be there, each a file.
    pub needs: &'static [&'static str],
    /// What `/sbin/init` must be or link to, by its last name; anything where this is empty.
    pub init: &'static str,
    start: &'static str,
    boot: &'static str,
    level: &'static str,
    single: &'static str,
    power_off: &'static str,
    reboot: &'static str,
    stays: bool,
}

/// The kinds that are known; the first one that fits is the guest's.
pub const LAYOUTS: &[Layout] = &[
    Layout {
        name: "runit",
        needs: &["/etc/runit/1", "/etc/runit/2", "/etc/runit/3"],
        // Debian's has the scripts of sysvinit as well, and runs them itself.
        init: "runit-init",
        start: "/etc/runit/1",
        boot: "",
        level: "/etc/runit/2",
        single: "",
        power_off: "/etc/runit/3",
        reboot: "/etc/runit/3",
        stays: true,
    },
    // Debian's OpenRC has these scripts, too.
    Layout {
        name: "sysvinit",
        needs: &["/etc/init.d/rc"],
        init: "",
        start: "/etc/init.d/rcS",
        boot: "",
        level: "/etc/init.d/rc %",
        single: "/etc/init.d/rc %",
        power_off: "/etc/init.d/rc %",
        reboot: "/etc/init.d/rc %",
        stays: false,
    },
    Layout {
        name: "OpenRC",
        needs: &["/sbin/openrc"],
        init: "",
        start: "/sbin/openrc sysinit",
        boot: "/sbin/openrc boot",
        level: "/sbin/openrc default",
        single: "/sbin/openrc single",
        power_off: "/sbin/openrc shutdown",
        reboot: "/sbin/openrc reboot",
        stays: false,
    },
    Layout {
        name: "sysvinit with /etc/rc.d",
        needs: &["/etc/rc.d/rc.sysinit", "/etc/rc.d/rc"],
        init: "",
        start: "/etc/rc.d/rc.sysinit",
        boot: "",
        level: "/etc/rc.d/rc %",
        single: "/etc/rc.d/rc %",
        power_off: "/etc/rc.d/rc %",
        reboot: "/etc/rc.d/rc %",
        stays: false,
    },
    Layout {
        name: "busybox",
        needs: &["/etc/init.d/rcS"],
        init: "",
        start: "/etc/init.d/rcS",
        boot: "",
        level: "",
        single: "",
        power_off: "",
        reboot: "",
        stays: false,
    },
];

impl Layout {
    /// What PID 1 is to run in such a guest.
    #[must_use]
    pub fn scripts(&self) -> Scripts {
        let line = |text: &str| (!text.is_empty()).then(|| CString::new(text).expect("the table has no NUL"));
        Scripts {
            start: line(self.start),
            boot: line(self.boot),
            level: line(self.level),
            single: line(self.single),
            power_off: line(self.power_off),
            reboot: line(self.reboot),
            stays: self.stays,
        }
    }
}

impl Default for Scripts {
    /// Those of sysvinit.
    fn default() -> Self {
        use crate::pid1::config::{RC, RCS};
        let rc = Some(RC.to_owned());
        Self {
            start: Some(RCS.to_owned()),
            boot: None,
            level: rc.clone(),
            single: rc.clone(),
            power_off: rc.clone(),
            reboot: rc,
            stays: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pid1::command::Command;

    #[test]
    fn default_is_the_row_of_sysvinit() {
        let row = LAYOUTS.iter().find(|layout| layout.name == "sysvinit").unwrap();
        assert_eq!(row.scripts(), Scripts::default());
    }

    #[test]
    fn every_line_can_be_run() {
        for layout in LAYOUTS {
            let Scripts { start, boot, level, single, power_off, reboot, .. } = layout.scripts();
            assert!(start.is_some() && !layout.needs.is_empty(), "{}", layout.name);
            for line in [start, boot, level, single, power_off, reboot].into_iter().flatten() {
                let command = Command::new(&line, b'2').unwrap();
                assert!(command.path().to_bytes().starts_with(b"/"), "{line:?}");
            }
        }
    }
}
