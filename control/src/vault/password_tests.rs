use super::*;

async fn of_file(name: &str, text: &str, mode: u32) -> Result<Vec<u8>, Error> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    // By a child: what this process has open for writing, a fork of another test has too, and
    // then nobody may run it (execve(2), ETXTBSY).
    let line = "printf %s \"$1\" >\"$2\" && chmod \"$3\" \"$2\"";
    let mut write = command("/bin/sh");
    write.args(["-c", line, "-", text]).arg(&path).arg(format!("{mode:o}"));
    assert!(write.status().await.unwrap().success());
    Password::of_file(&path).await.map(|password| password.bytes().to_vec())
}

#[tokio::test]
async fn white_space_around_what_a_file_holds_does_not_count() {
    assert_eq!(of_file("p", " two words \r\n\n", 0o600).await.unwrap(), b"two words");
    assert!(matches!(of_file("p", "\n", 0o600).await, Err(Error::EmptyPassword)));
}

#[tokio::test]
async fn an_executable_file_is_run_and_keeps_its_spaces() {
    assert_eq!(of_file("p", "#!/bin/sh\necho ' x '\n", 0o700).await.unwrap(), b" x ");
    let told = of_file("p-client.sh", "#!/bin/sh\necho \"$@\"\n", 0o700).await.unwrap();
    assert_eq!(told, b"--vault-id default");
}

#[tokio::test]
async fn a_program_that_fails_or_is_none_is_named() {
    let failed = of_file("p", "#!/bin/sh\necho x; exit 3\n", 0o700).await.unwrap_err();
    assert!(failed.to_string().contains("p` was run, and ended with exit status: 3"), "{failed}");
    let unrun = of_file("p", "just a password\n", 0o700).await.unwrap_err();
    assert!(unrun.advice().contains("chmod -x"), "{unrun}");
}

#[tokio::test]
async fn a_sealed_password_file_is_refused_instead_of_used_as_it_is() {
    let sealed = include_str!("fixtures/v11");
    assert!(matches!(of_file("p", sealed, 0o600).await, Err(Error::SealedPassword { .. })));
}

#[test]
fn a_password_does_not_print() {
    let shown = format!("{:?}", Password::new(b"hunter2").unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
}
