//! A file over ssh: a real sshd on loopback, with keys and a configuration of its own.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::{MIB, daemon::Daemon, e2e_test, support::*};

/// Makes a key without a passphrase.
fn key(path: &Path) {
    let mut make = Command::new("/usr/bin/ssh-keygen");
    make.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path).stdin(Stdio::null());
    assert!(make.status().unwrap().success(), "ssh-keygen failed");
}

fn sshd() -> Option<Daemon> {
    if is_root() {
        // Where a system service would have made it.
        drop(fs::create_dir_all("/run/sshd"));
    }
    Daemon::start("sshd", 1, |root, ports| {
        key(&root.join("host"));
        key(&root.join("user"));
        fs::copy(root.join("user.pub"), root.join("authorized")).unwrap();
        let text = format!(
            "ListenAddress 127.0.0.1:{}\nHostKey {root}/host\nAuthorizedKeysFile {root}/authorized\n\
             StrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\nMaxStartups 64\n\
             PrintMotd yes\n",
            ports[0],
            root = root.display()
        );
        fs::write(root.join("config"), text).unwrap();
        ["-D", "-e", "-f"]
            .map(str::to_owned)
            .into_iter()
            .chain([root.join("config").display().to_string()])
            .collect()
    })
}

/// The client, as words for `--via`.
fn ssh(sshd: &Daemon) -> String {
    format!(
        "ssh -F none -i {root}/user -p {} -o IdentitiesOnly=yes -o BatchMode=yes \
         -o StrictHostKeyChecking=no -o UserKnownHostsFile={root}/known -o LogLevel=ERROR 127.0.0.1",
        sshd.address(0).port(),
        root = sshd.root().display()
    )
}

e2e_test!(a_file_comes_over_ssh_on_many_connections, |t| {
    let Some(sshd) = sshd() else { return };
    let object = Object::random(700, 16 * MIB);
    let path = t.outside().join("it's there");
    fs::write(&path, object.bytes()).unwrap();
    let via = ssh(&sshd);
    let args = ["-j4", "--json", "-o", "f", "--via", &via, path.to_str().unwrap()];
    let output = t.uget(args).run();
    t.delivers(&output, "f", &object);
    let report = output.json();
    output.check(report["strategy"] == "ranges" && report["connections"] == 4, "over four");
    fs::remove_file(&path).unwrap();
    let output = t.uget(["-o", "g", "--via", &via, path.to_str().unwrap()]).run();
    output.fails(22).says("No such file");
});

e2e_test!(a_host_that_refuses_is_told_in_its_words, |t| {
    let Some(sshd) = sshd() else { return };
    let via = ssh(&sshd).replace("/user ", "/host ");
    let output = t.uget(["--retries", "0", "-o", "f", "--via", &via, "/etc/hostname"]).run();
    t.refuses(&output, 22);
    output.says("Permission denied (publickey");
});
