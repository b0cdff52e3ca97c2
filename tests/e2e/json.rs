//! The report for machines.

use std::time::Duration;

use crate::{MIB, e2e_test, support::*};

e2e_test!(a_report_has_the_facts, |t| {
    let object = Object::random(230, 8 * MIB);
    let origin = Origin::of(&object).start();
    let args = ["-j4", "--chunk-size", "1048576", "--json", "--sha256", &object.sha256()];
    let output = t.uget(args).arg(origin.url()).run();
    output.succeeds();
    t.holds(&output, "object.bin", &object);
    let report = output.json();
    let check = |name: &str, want: serde_json::Value| {
        output.check(report[name] == want, &format!("{name} should be {want}: {report:#}"));
    };
    check("url", origin.url().into());
    check("final_url", origin.url().into());
    check("size", object.len().into());
    check("transferred", object.len().into());
    check("etag", "\"v1\"".into());
    check("strategy", "ranges".into());
    check("engine", t.engine.name().into());
    check("requests", origin.log().count().into());
    check("retries", 0.into());
    check("verified", true.into());
    let text = report.to_string();
    output.check(text.contains(&object.sha256()), "the digest is missing");
    output.check(text.contains("object.bin"), "the path is missing");
    let connections = report["connections"].as_u64().unwrap_or(0);
    output.check((1..=4).contains(&connections), &format!("{connections} connections"));
});

e2e_test!(a_report_says_why_there_was_one_stream, |t| {
    let object = Object::random(231, 4 * MIB);
    for (setup, verified) in [
        (Origin::of(&object).mode(Mode::IgnoreRange), true),
        (Origin::of(&object).etag(None), true),
        (Origin::of(&object).mode(Mode::Http10), false),
    ] {
        let origin = setup.start();
        let output = t.uget(["-j4", "--json", "-o", "object.bin", &origin.url()]).run();
        output.succeeds();
        let report = output.json();
        output.check(report["strategy"] == "stream", "it was one stream");
        output.check(report["fallback_reason"].is_string(), "it should say why");
        output.check(report["verified_length"] == verified, "the length is known or it is not");
    }
});

e2e_test!(a_report_names_no_secrets, |t| {
    let object = Object::random(232, MIB);
    let origin = Origin::of(&object).start();
    let url = origin.at("/object.bin?X-Amz-Signature=sesame");
    let url = url.replace("http://", "http://user:hunter2@");
    let output = t.uget(["-v", "--json", "--header", "Cookie: crumbs", &url]).run();
    output.succeeds();
    let all = format!("{}{}", String::from_utf8_lossy(&output.stdout), output.stderr);
    for secret in ["sesame", "hunter2", "crumbs"] {
        output.check(!all.contains(secret), &format!("{secret} was said"));
    }
    let broken = Origin::of(&object).mode(Mode::Status(404)).start();
    let url = broken.at("/object.bin?X-Amz-Signature=sesame");
    let url = url.replace("http://", "http://user:hunter2@");
    let output = t.uget(["-v", "-o", "x", "--header", "Cookie: crumbs", &url]).run();
    output.fails(22).hides("sesame").hides("hunter2").hides("crumbs");
});

e2e_test!(rt15_the_rate_is_measured_from_the_first_byte, |t| {
    let object = Object::random(233, MIB);
    let origin = Origin::of(&object).mode(Mode::Latency(Duration::from_secs(2))).start();
    let output = t.uget(["-j1", "--json", &origin.url()]).run();
    output.succeeds();
    let report = output.json();
    let seconds = |name: &str| {
        let value = report.get(name).or_else(|| report.get(format!("{name}_s")));
        value.and_then(serde_json::Value::as_f64)
    };
    let (Some(whole), Some(transfer)) = (seconds("elapsed"), seconds("transfer_elapsed")) else {
        output.explain("elapsed and transfer_elapsed should be seconds");
    };
    output.check(whole >= 1.9, &format!("elapsed is {whole}"));
    output.check(transfer < 1.5, &format!("transfer_elapsed is {transfer}"));
});

e2e_test!(a_failure_is_no_report_of_success, |t| {
    let origin = Origin::of(&Object::random(234, MIB)).mode(Mode::Status(404)).start();
    let output = t.uget(["--json", &origin.url()]).run();
    output.fails(22);
    if !output.stdout.is_empty() {
        assert!(output.json().is_object());
    }
});
