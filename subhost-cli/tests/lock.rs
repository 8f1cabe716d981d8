//! Locks of names and of ids. In a program of their own: a child that another test has just cloned would hold a copy of each.

use std::os::unix::fs::MetadataExt;

use subhost_cli::layout::{Layout, Name};
use subhost_cli::lock::{held_by_another, lock_ids, lock_name, name_is_held};

#[test]
fn ids_are_locked_where_they_overlap() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout { run_dir: dir.path().join("run"), ..Layout::new("/nowhere") };
    let Ok(held) = lock_ids(&layout, 100_000, 65_536) else { return };
    for (first, count, is_free) in [
        (100_000, 65_536, false),
        (165_535, 1, false),
        (0, 100_001, false),
        (0, 100_000, true),
        (165_536, 65_536, true),
        (u32::MAX - 1, 1, true),
    ] {
        assert_eq!(lock_ids(&layout, first, count).unwrap().is_some(), is_free, "{first}:{count}");
    }
    drop(held);
    assert!(lock_ids(&layout, 165_535, 1).unwrap().is_some());
}

#[test]
fn a_name_is_locked_once_and_free_after_drop() {
    let dir = tempfile::tempdir().unwrap();
    if std::fs::metadata(dir.path()).unwrap().uid() != 0 {
        // Only root may hold the state; the refusal is what another user sees.
        let layout = Layout { run_dir: dir.path().into(), ..Layout::new("/nowhere") };
        assert!(lock_name(&layout, &"web".parse().unwrap()).is_err());
        return;
    }
    let layout = Layout { run_dir: dir.path().join("run"), ..Layout::new("/nowhere") };
    let web: Name = "web".parse().unwrap();
    assert!(!name_is_held(&layout, &web).unwrap());
    let held = lock_name(&layout, &web).unwrap();
    assert!(held_by_another(&layout, &web).contains(&format!(": process {} (", std::process::id())));
    assert!(held.is_some());
    assert!(lock_name(&layout, &web).unwrap().is_none());
    assert!(name_is_held(&layout, &web).unwrap());
    assert!(!name_is_held(&layout, &"db".parse().unwrap()).unwrap());
    assert!(lock_name(&layout, &"db".parse().unwrap()).unwrap().is_some());
    drop(held);
    assert!(!name_is_held(&layout, &web).unwrap());
    assert!(lock_name(&layout, &web).unwrap().is_some());
}
