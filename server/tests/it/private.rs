//! Files on disk are private: no other user of the machine can read a key, the database or a setup link.

use crate::harness::TestStore;
use crate::process::{run, serve};
use std::os::unix::fs::PermissionsExt;

fn mode(path: &std::path::Path) -> u32 {
    path.metadata().expect("there").permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_commands_create_are_private_to_their_owner() {
    let outer = crate::harness::folder();
    let mut test = TestStore::sqlite().await;
    let data = outer.path().join("data");
    let command = |arguments: &[&str], test: &TestStore| {
        let data = data.clone();
        run(test, arguments, |command| {
            // With the umask of most shells, and a directory that does not exist yet.
            *command = wide(command, &data);
        })
    };
    let (done, output) = command(&["key", "add", "dc", "--scope", "ingest"], &test);
    assert!(done, "{output}");
    assert_eq!(mode(&data), 0o700);
    for file in std::fs::read_dir(&data).expect("read") {
        let path = file.expect("a file").path();
        assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
    }
    // The server creates files in a directory of its own.
    test.dir = crate::harness::folder();
    let _server = serve(&test);
    for file in std::fs::read_dir(test.dir.path()).expect("read") {
        let path = file.expect("a file").path();
        assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
    }
}

/// Returns the same command under a umask of 022 and with another data directory.
fn wide(command: &std::process::Command, data: &std::path::Path) -> std::process::Command {
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "umask 022; exec \"$0\" \"$@\""]).arg(command.get_program());
    let mut arguments = command.get_args();
    while let Some(argument) = arguments.next() {
        if argument == "--data-dir" {
            arguments.next();
        } else {
            shell.arg(argument);
        }
    }
    shell.arg("--data-dir").arg(data).env("HOOKWRIGHT_KEY", crate::process::KEY);
    shell.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    shell
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_directory_open_to_others_is_refused_with_a_remedy() {
    let test = TestStore::sqlite().await;
    std::fs::set_permissions(test.dir.path(), std::fs::Permissions::from_mode(0o755)).expect("changed");
    let serving = ["serve", "--listen", "http://127.0.0.1:0"];
    for arguments in [serving.as_slice(), &["key", "add", "dc", "--scope", "ingest"]] {
        let (done, output) = run(&test, arguments, |_| ());
        assert!(!done && output.contains("chmod 700") && output.contains("mode 755"), "{output}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn setup_link_command_works_until_there_is_an_account() {
    let test = TestStore::sqlite().await;
    let (done, output) = run(&test, &["setup-link", "--listen", "http://127.0.0.1:8099"], |_| ());
    assert!(done && output.contains("http://127.0.0.1:8099/setup?token=hwk_"), "{output}");
    // A browser cannot open the address of a listener on all addresses.
    for listen in ["https://0.0.0.0:8443", "https://[::]:8443"] {
        let (done, output) = run(&test, &["setup-link", "--listen", listen], |_| ());
        assert!(done && output.contains("https://localhost:8443/setup?token=hwk_"), "{output}");
        assert!(output.contains("--public-url"), "{output}");
        let named = ["setup-link", "--listen", listen, "--public-url", "https://hooks.example.com"];
        let (done, output) = run(&test, &named, |_| ());
        assert!(done && output.contains("https://hooks.example.com/setup?token="), "{output}");
        assert!(!output.contains("localhost"), "{output}");
    }
    crate::process::prepare(&test, "http://127.0.0.1:9/", "3").await;
    let (done, output) = run(&test, &["setup-link"], |_| ());
    assert!(!done && output.contains("hookwright user add"), "{output}");
}
