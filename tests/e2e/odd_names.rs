//! Names that mean something else to the next program, and directories that are not there yet.

use crate::{KIB, e2e_test, support::*};

/// One visible file whose name no program takes for an option, or a refusal.
fn is_harmless(t: &Test, output: &Output, what: &str, object: &Object) {
    let names = t.names();
    if !output.status.success() {
        output.fails_with(&[2, 3, 23]);
        output.check(names.is_empty(), &format!("{what} left {names:?}"));
        return;
    }
    output.check(names.len() == 1, &format!("{what} became {names:?}"));
    output.check(!names[0].starts_with(['-', '.']), &format!("{what} became {names:?}"));
    t.holds(output, &names[0], object);
    t.clear();
}

e2e_test!(a_url_chooses_no_name_that_is_an_option, |t| {
    let object = Object::random(700, KIB);
    let origin = Origin::of(&object).start();
    for target in [
        "/-rf",
        "/--help",
        "/-",
        "/--",
        "/%2drf",
        "/x/-o",
        "/.-rf",
        "/-.rf",
        "/%20-rf",
        "/-rf%20.",
        "/...-",
        "/.profile",
    ] {
        let output = t.uget([&origin.at(target)]).run();
        is_harmless(t, &output, target, &object);
    }
});

e2e_test!(a_server_chooses_no_name_that_is_an_option, |t| {
    let object = Object::random(701, KIB);
    for value in [
        "attachment; filename=\"-rf\"",
        "attachment; filename=\"--help\"",
        "attachment; filename=\"-\"",
        "attachment; filename=\"x/-rf\"",
        "attachment; filename=\".-rf\"",
        "attachment; filename=\"-.rf\"",
        "attachment; filename=\" -rf\"",
        "attachment; filename*=UTF-8''%2drf",
        "attachment; filename*=UTF-8''%2e%2drf",
    ] {
        let origin = Origin::of(&object).bend(move |_, reply| {
            reply.set("Content-Disposition", value);
        });
        let origin = origin.start();
        let output = t.uget(["--remote-name", &origin.url()]).run();
        is_harmless(t, &output, value, &object);
    }
});

e2e_test!(a_redirect_chooses_no_name_that_is_an_option, |t| {
    let object = Object::random(702, KIB);
    let origin = Origin::of(&object)
        .bend(|request, reply| {
            if request.path() == "/a" {
                *reply = Reply::redirect(302, "/-rf");
            }
        })
        .start();
    for args in [&[] as &[&str], &["--remote-name"]] {
        let output = t.uget(args).arg(origin.at("/a")).run();
        is_harmless(t, &output, "a redirect to /-rf", &object);
    }
});

e2e_test!(a_name_that_the_user_chose_is_the_users, |t| {
    let object = Object::random(703, KIB);
    let origin = Origin::of(&object).start();
    for name in ["./-rf", "./.hidden"] {
        let output = t.uget(["-o", name, &origin.url()]).run();
        output.succeeds();
        t.holds(&output, name, &object);
        t.clear();
    }
});

e2e_test!(directories_are_made, |t| {
    let object = Object::random(704, KIB);
    let origin = Origin::of(&object).start();
    for (number, args) in [
        &["-P", "NEW/dir"] as &[&str],
        &["-P", "NEW/dir/"],
        &["--output-dir", "NEW/a/b/c"],
        &["-P", "NEW/dir", "--remote-name"],
        &["-o", "NEW/dir/object.bin"],
    ]
    .iter()
    .enumerate()
    {
        let args: Vec<_> =
            args.iter().map(|arg| arg.replace("NEW", &format!("new-{number}"))).collect();
        let output = t.uget(&args).arg(origin.url()).run();
        output.check(output.status.success(), &format!("{args:?}"));
        let directory = args[1].trim_end_matches("object.bin").trim_end_matches('/');
        t.holds(&output, &format!("{directory}/object.bin"), &object);
    }
});

e2e_test!(a_directory_that_cannot_be_made_is_said, |t| {
    let origin = Origin::of(&Object::random(705, KIB)).start();
    t.write("file", b"in the way");
    let output = t.uget(["-P", "file/dir", &origin.url()]).run();
    output.fails(23).says("file");
    t.holds_only(&output, &["file"]);
});
