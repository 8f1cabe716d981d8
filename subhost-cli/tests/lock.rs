//! Locks of names and of ids. In a program of their own: a child that another test has just cloned would hold a copy of each.

use std::os::unix::fs::MetadataExt;

use subhost_cli::layout::{Layout, Name};
use subhost_cli::lock::{held_by_another, lock_first, lock_ids, lock_name, name_is_held};

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
    let firsts = [34_464, 100_000, 165_536, 231_072];
    assert_eq!(lock_first(&layout, &mut firsts.into_iter(), 65_536).unwrap().map(|it| it.0), Some(34_464));
    let mut rest = firsts.into_iter().skip(1);
    assert_eq!(lock_first(&layout, &mut rest, 65_536).unwrap().map(|it| it.0), Some(165_536));
    assert_eq!(rest.next(), Some(231_072), "no more are tried than have to be");
    assert!(lock_first(&layout, &mut firsts.into_iter().skip(1).take(1), 65_536).unwrap().is_none());
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
