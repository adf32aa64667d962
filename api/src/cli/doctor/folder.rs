//! Checks that the data folder is writable, has free space, and hides its keys from other users.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statvfs};

use super::super::output;
use super::finding::Finding;

const WHAT: &str = "data folder";
const KEYS: [&str; 7] = [
    "token.key",
    "peer.key",
    "peer-ca.pem",
    "secrets.key",
    "admin.key",
    "admin.token",
    "peer.token",
];
const LITTLE: u64 = 1 << 30;
const TOO_LITTLE: u64 = 64 << 20;

pub(super) fn check(folder: &Path) -> Vec<Finding> {
    if !folder.exists() {
        return vec![missing(folder)];
    }
    let mut findings = vec![written(folder)];
    findings.extend(room(folder));
    findings.extend(keys(folder));
    findings
}

/// Checks that the first start can create the folder.
fn missing(folder: &Path) -> Finding {
    let shown = folder.display();
    let above = folder.ancestors().skip(1).find(|above| above.exists());
    let above = above.map_or_else(|| PathBuf::from("."), Path::to_owned);
    let may = if above.is_dir() {
        access(&above, Access::WRITE_OK).map_err(|error| error.to_string())
    } else {
        Err("not a folder".to_owned())
    };
    match may {
        Ok(()) => Finding::ok(
            WHAT,
            format!("{shown} does not exist yet; the first start creates it"),
        ),
        Err(error) => Finding::fail(
            WHAT,
            format!("{shown} cannot be created: {}: {error}", above.display()),
            format!("create it for the user that runs Stoker: install -d -m 700 -o USER {shown}"),
        ),
    }
}

fn written(folder: &Path) -> Finding {
    let shown = folder.display();
    let probe = tempfile::NamedTempFile::new_in(folder).and_then(|mut file| {
        file.write_all(b"stoker doctor")?;
        file.as_file().sync_all()
    });
    match probe {
        Ok(()) => Finding::ok(WHAT, format!("{shown} can be written")),
        Err(error) => Finding::fail(
            WHAT,
            format!("{shown} cannot be written: {error}"),
            "change its owner to the user that runs Stoker, or free space on its disk",
        ),
    }
}

fn room(folder: &Path) -> Option<Finding> {
    let disk = statvfs(folder).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    Some(room_of(free))
}

fn room_of(free: u64) -> Finding {
    let found = format!("{} free", output::bytes(free));
    let to_do = "free space on its disk, or move the folder: without free space the manager cannot write";
    match free {
        0..TOO_LITTLE => Finding::fail(WHAT, found, to_do),
        TOO_LITTLE..LITTLE => Finding::warn(WHAT, found, to_do),
        _ => Finding::ok(WHAT, found),
    }
}

fn keys(folder: &Path) -> Vec<Finding> {
    let present: Vec<(PathBuf, u32)> = KEYS
        .iter()
        .map(|name| folder.join(name))
        .filter_map(|path| Some((path.clone(), path.metadata().ok()?.permissions().mode() & 0o777)))
        .collect();
    let open: Vec<Finding> = present
        .iter()
        .filter(|(_, mode)| mode & 0o077 != 0)
        .map(|(path, mode)| readable_by_others(path, *mode))
        .collect();
    if open.is_empty() && !present.is_empty() {
        let found = format!("{} files, readable only by their owner", present.len());
        return vec![Finding::ok("keys", found)];
    }
    open
}

fn readable_by_others(path: &Path, mode: u32) -> Finding {
    let shown = path.display();
    Finding::fail(
        "keys",
        format!("other users can read {shown} (mode {mode:o})"),
        format!(
            "chmod 600 {shown}; if others may have read it, remove it, and the next start creates a new one"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    fn verdicts(findings: &[Finding]) -> Vec<Verdict> {
        findings.iter().map(|finding| finding.verdict).collect()
    }

    #[test]
    fn a_missing_folder_is_fine_if_it_can_be_created() {
        let folder = tempfile::tempdir().expect("a folder");
        let findings = check(&folder.path().join("a/b"));
        assert_eq!(verdicts(&findings), [Verdict::Ok], "{findings:?}");
        let file = folder.path().join("file");
        std::fs::write(&file, b"x").expect("written");
        let findings = check(&file.join("data"));
        assert_eq!(verdicts(&findings), [Verdict::Fail], "{findings:?}");
    }

    #[test]
    fn a_folder_without_write_access_is_a_failure() {
        let finding = written(Path::new("/proc"));
        assert_eq!(finding.verdict, Verdict::Fail, "{finding:?}");
    }

    #[test]
    fn little_free_space_is_a_warning_before_it_is_a_failure() {
        let verdicts = [1 << 20, 100 << 20, 10 << 30].map(|free| room_of(free).verdict);
        assert_eq!(verdicts, [Verdict::Fail, Verdict::Warn, Verdict::Ok]);
    }

    #[test]
    fn a_key_that_others_can_read_is_a_failure_with_its_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let set = |name: &str, mode: u32| {
            let path = folder.path().join(name);
            std::fs::write(&path, b"x").expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
        };
        assert!(keys(folder.path()).is_empty(), "there are none yet");
        set("token.key", 0o600);
        assert_eq!(verdicts(&keys(folder.path())), [Verdict::Ok]);
        set("secrets.key", 0o640);
        let findings = keys(folder.path());
        assert_eq!(verdicts(&findings), [Verdict::Fail]);
        let secrets = folder.path().join("secrets.key").display().to_string();
        assert!(findings[0].found.contains(&secrets), "{findings:?}");
    }
}
