//! Small files such as keys and certificates, written whole or not at all, and stamps that show changes of files.

use anyhow::{Context, bail};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

/// The time of a file's last change, and its length in bytes. `None` when the file's metadata cannot be read.
pub type Stamp = Option<(SystemTime, u64)>;

/// Returns the stamp of a file. When the stamp differs, the file must be read again.
pub fn stamp(path: &Path) -> Stamp {
    let data = path.metadata().ok()?;
    Some((data.modified().ok()?, data.len()))
}

/// Writes a file that only its owner can read, and replaces an existing one. After a kill or a power cut either the old
/// file or the new file is there, complete.
///
/// # Errors
/// The folder cannot be written to.
pub fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    // A killed process may have left this file.
    remove(&new)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    crate::fault::point("key.before-rename");
    std::fs::rename(&new, path)?;
    sync_folder(path)
}

/// Creates a folder that only its owner can open. An existing folder must be just as private, since its files can
/// create administrators and open secrets.
///
/// # Errors
/// The folder cannot be created, or others can open it.
pub fn private_folder(path: &Path) -> anyhow::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).with_context(|| format!("cannot create the data directory {}", path.display()))?;
    #[cfg(unix)]
    {
        let data = path.metadata().with_context(|| format!("cannot inspect {}", path.display()))?;
        let mode = std::os::unix::fs::PermissionsExt::mode(&data.permissions()) & 0o777;
        if mode & 0o077 != 0 {
            bail!(
                "others can look into the data directory {0} (mode {mode:o}), where passwords and keys are; close it with \
                 `chmod 700 {0}` and start again",
                path.display()
            );
        }
    }
    Ok(())
}

/// Removes a file, if it exists.
///
/// # Errors
/// The file exists and cannot be removed.
pub fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => sync_folder(path),
    }
}

/// Syncs the folder of a file. The names in a folder are separate data, which a power cut may lose.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_private_replaces_a_half_written_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("master.key");
        std::fs::write(folder.path().join("master.new"), "ha").expect("written");
        write_private(&path, b"first").expect("written");
        write_private(&path, b"second").expect("written");
        assert_eq!(std::fs::read(&path).expect("read"), b"second");
        assert_eq!(std::fs::read_dir(folder.path()).expect("read").count(), 1, "nothing is left beside it");
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().expect("there").permissions());
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
