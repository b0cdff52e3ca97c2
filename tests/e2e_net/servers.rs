//! Real servers with TLS: nginx, Apache, openssl s_server.

use std::{fs, path::Path};

use crate::{MIB, daemon::Daemon, e2e_test, support::*};

fn nginx(object: &Object, servers: &[(&Leaf, &str)]) -> Option<Daemon> {
    Daemon::start("nginx", servers.len(), |root, ports| {
        fs::create_dir(root.join("files")).unwrap();
        fs::write(root.join("files/object.bin"), object.bytes()).unwrap();
        let root = root.display();
        let blocks: String = servers
            .iter()
            .zip(ports)
            .map(|((leaf, protocol), port)| {
                let (certificate, key) = (leaf.certificate.display(), leaf.key.display());
                format!(
                    "server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {certificate};
                     ssl_certificate_key {key}; ssl_protocols {protocol}; root {root}/files; }}\n"
                )
            })
            .collect();
        // SAFETY: geteuid has no preconditions.
        let user = if unsafe { libc::geteuid() } == 0 { "user root;" } else { "" };
        let configuration = format!(
            "{user} daemon off; worker_processes 2; pid {root}/pid; error_log {root}/log;
             events {{ worker_connections 512; }}
             http {{ access_log off; sendfile on; keepalive_requests 100000;
             client_body_temp_path {root}/a; proxy_temp_path {root}/b; fastcgi_temp_path {root}/c;
             uwsgi_temp_path {root}/d; scgi_temp_path {root}/e;
             {blocks} }}"
        );
        let path = Path::new(&root.to_string()).join("conf");
        fs::write(&path, configuration).unwrap();
        ["-c", path.to_str().unwrap(), "-e", "stderr"].map(str::to_owned).to_vec()
    })
}

fn ca() -> String {
    TRUSTED.file().to_str().unwrap().to_owned()
}

e2e_test!(nginx_with_both_versions_and_both_kinds_of_key, |t| {
    let object = Object::random(700, 24 * MIB + 7);
    let rsa = TRUSTED.rsa_leaf(&format!("rsa-{}", t.engine.name()));
    let kinds = [(&*LOCAL, "TLSv1.3"), (&*LOCAL, "TLSv1.2"), (&rsa, "TLSv1.3"), (&rsa, "TLSv1.2")];
    let Some(nginx) = nginx(&object, &kinds) else { return };
    for (index, (_, protocol)) in kinds.iter().enumerate() {
        let url = format!("https://localhost:{}/object.bin", nginx.address(index).port());
        let name = format!("out-{index}");
        let args = ["-j16", "--chunk-size", "262144", "--cacert", &ca(), "-o", &name, &url];
        let output = t.uget(args).run();
        output.succeeds();
        t.holds(&output, &name, &object);
        let minimum = t.uget(["--tls-min", "1.3", "--cacert", &ca(), "-o", "min", &url]).run();
        if *protocol == "TLSv1.3" {
            minimum.succeeds();
        } else {
            minimum.fails_with(&[35]);
        }
    }
});

e2e_test!(apache_with_ranges_over_tls, |t| {
    let object = Object::random(701, 8 * MIB);
    let daemon = Daemon::start("apache2", 1, |root, ports| {
        fs::write(root.join("object.bin"), object.bytes()).unwrap();
        let modules = "/usr/lib/apache2/modules";
        let (certificate, key) = (LOCAL.certificate.display(), LOCAL.key.display());
        let (root_shown, port) = (root.display(), ports[0]);
        let configuration = format!(
            "ServerRoot {root_shown}\nServerName localhost\nPidFile {root_shown}/pid
             Mutex file:{root_shown}\nErrorLog {root_shown}/log\nListen 127.0.0.1:{port}
             LoadModule mpm_event_module {modules}/mod_mpm_event.so
             LoadModule authz_core_module {modules}/mod_authz_core.so
             LoadModule socache_shmcb_module {modules}/mod_socache_shmcb.so
             LoadModule ssl_module {modules}/mod_ssl.so
             DocumentRoot {root_shown}\n<Directory {root_shown}>\nRequire all granted\n</Directory>
             SSLEngine on\nSSLCertificateFile {certificate}\nSSLCertificateKeyFile {key}\n"
        );
        fs::write(root.join("conf"), configuration).unwrap();
        let path = root.join("conf").to_str().unwrap().to_owned();
        ["-X", "-f", &path].map(str::to_owned).to_vec()
    });
    let Some(apache) = daemon else { return };
    let url = format!("https://127.0.0.1:{}/object.bin", apache.address(0).port());
    let output = t.uget(["-j8", "--chunk-size", "524288", "--cacert", &ca(), &url]).run();
    t.delivers(&output, "object.bin", &object);
});

e2e_test!(a_server_of_one_stream_at_a_time, |t| {
    let object = Object::random(702, 2 * MIB + 1);
    let daemon = Daemon::start("openssl", 1, |root, ports| {
        fs::write(root.join("object.bin"), object.bytes()).unwrap();
        let (certificate, key) = (LOCAL.certificate.display(), LOCAL.key.display());
        format!(
            "s_server -quiet -WWW -accept 127.0.0.1:{} -cert {certificate} -key {key}",
            ports[0]
        )
        .split(' ')
        .map(str::to_owned)
        .collect()
    });
    let Some(server) = daemon else { return };
    let url = format!("https://127.0.0.1:{}/object.bin", server.address(0).port());
    let output = t.uget(["-j4", "--cacert", &ca(), &url]).run();
    t.delivers(&output, "object.bin", &object);
    assert!(server.root().is_dir());
});
