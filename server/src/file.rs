//! Small files: keys and certificates, which must be whole or not there at all; and whether a file has changed.

use anyhow::{Context, bail};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

/// When a file was last written, and its length in bytes. `None` when the file cannot be looked at.
pub type Stamp = Option<(SystemTime, u64)>;

/// Returns the stamp of a file: another stamp means that the file has to be read anew.
pub fn stamp(path: &Path) -> Stamp {
    let data = path.metadata().ok()?;
    Some((data.modified().ok()?, data.len()))
}

/// Writes a file that only its owner can read, over the one there may be. After a kill or a power cut there is the old
/// file or the new one, whole.
///
/// # Errors
/// Its folder cannot be written to.
pub fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    // What a killed process has left.
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

/// Makes a folder that only its owner can look into. One that is there has to be like that: what is in it makes
/// administrators and opens secrets.
///
/// # Errors
/// It cannot be made, or others can look into it.
pub fn private_folder(path: &Path) -> anyhow::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).with_context(|| format!("cannot make the data directory {}", path.display()))?;
    #[cfg(unix)]
    {
        let data = path.metadata().with_context(|| format!("cannot look at {}", path.display()))?;
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

/// Removes a file, if it is there.
///
/// # Errors
/// It is there and cannot be removed.
pub fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => sync_folder(path),
    }
}

/// The names in a folder are data of their own, which a power cut may take.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_written_file_is_replaced_by_a_whole_one() {
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
