//! What the daemon is run by: the systemd unit, the Debian package, the Dockerfile, the compose file and the chart, each
//! held against the linter of its kind. `scripts/test` installs those; one that is missing is a failure.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use espalier::ops::Settings;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn deploy(file: &str) -> PathBuf {
    root().join("config/deploy").join(file)
}

/// A tool of `tests/deploy/requirements.txt`.
fn tool(name: &str) -> PathBuf {
    root().join("target/deploy/bin").join(name)
}

fn ran(command: &mut Command) -> (Output, String) {
    let out = command.output().unwrap_or_else(|error| {
        panic!("{}: {error}; `scripts/test` installs it", command.get_program().to_string_lossy())
    });
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out, said)
}

fn well(command: &mut Command) -> String {
    let (out, said) = ran(command);
    assert!(out.status.success(), "{command:?}:\n{said}");
    said
}

fn read(file: &str) -> String {
    std::fs::read_to_string(deploy(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

/// The unit with programs that are there: what lies in a package is not installed here.
fn unit(folder: &Path) -> PathBuf {
    let path = folder.join("espalier.service");
    let text =
        read("systemd/espalier.service").replace("/usr/bin/espalier ", &format!("{} ", env!("CARGO_BIN_EXE_espalier")));
    std::fs::write(&path, text).expect("a unit");
    path
}

#[test]
fn the_unit_is_well_formed_and_exposes_little() {
    let folder = tempfile::tempdir().expect("a folder");
    let unit = unit(folder.path());
    let said = well(Command::new("systemd-analyze").arg("verify").arg(&unit));
    assert!(!said.contains("espalier.service"), "systemd has nothing to say of it: {said}");
    // Of 10 points of exposure at most two: `--threshold` counts tenths.
    well(Command::new("systemd-analyze").args(["security", "--offline=true", "--threshold=20"]).arg(&unit));
    // The check itself can fail.
    let open = folder.path().join("open.service");
    std::fs::write(&open, "[Service]\nExecStart=/bin/true\n").expect("a unit");
    let (out, _) =
        ran(Command::new("systemd-analyze").args(["security", "--offline=true", "--threshold=20"]).arg(&open));
    assert!(!out.status.success(), "an open unit is refused");
}

/// Seconds of a key of the unit, as `60s` or `2min`.
fn seconds(unit: &str, key: &str) -> i64 {
    let line =
        unit.lines().find_map(|line| line.strip_prefix(&format!("{key}="))).unwrap_or_else(|| panic!("no {key}"));
    let digits = line.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = if line.ends_with("min") { 60 } else { 1 };
    digits.parse::<i64>().expect("a number") * factor
}

#[test]
fn whoever_stops_it_waits_longer_than_it_drains() {
    let drain = Settings::default().drain.as_millis() / 1_000;
    let unit = read("systemd/espalier.service");
    assert!(seconds(&unit, "TimeoutStopSec") > drain + 10);
    assert!(seconds(&unit, "WatchdogSec") >= 60, "a slow disk is no hung engine");
    for line in
        ["Type=notify", "NoNewPrivileges=yes", "ProtectSystem=strict", "StateDirectory=espalier espalier-backups"]
    {
        assert!(unit.lines().any(|one| one == line), "{line}");
    }
    let grace = read("docker/compose.yml")
        .lines()
        .find_map(|l| l.trim().strip_prefix("stop_grace_period: ").map(str::to_owned));
    let grace: i64 = grace.expect("a time").trim_end_matches('s').parse().expect("seconds");
    assert!(grace > drain + 10);
}

#[test]
fn the_image_and_the_compose_file_are_well_formed() {
    well(Command::new(tool("hadolint")).args(["--failure-threshold", "style"]).arg(deploy("docker/Dockerfile")));
    let text = read("docker/Dockerfile");
    let last = text.rsplit_once("\nFROM ").map_or("", |(_, last)| last);
    assert!(last.starts_with("scratch\n") && last.contains("\nUSER 65532:65532\n") && last.contains("\nHEALTHCHECK "));
    // What the image is built of is there.
    for line in text.lines().filter(|line| line.starts_with("COPY ") && !line.contains("--from")) {
        for source in line.split_whitespace().skip(1).take_while(|part| *part != "./") {
            assert!(root().join(source).exists(), "{line}: {source}");
        }
    }
    let compose = deploy("docker/compose.yml");
    let said = well(Command::new(tool("docker-compose")).arg("-f").arg(&compose).args(["config", "--format", "json"]));
    let start = said.find('{').expect("JSON");
    let whole: serde_json::Value = serde_json::from_str(&said[start..]).unwrap_or_else(|e| panic!("{e}: {said}"));
    let service = &whole["services"]["espalier"];
    assert_eq!(service["read_only"], true);
    assert_eq!(service["cap_drop"][0], "ALL");
    assert_eq!(service["ports"][0]["host_ip"], "127.0.0.1", "a proxy with TLS stands in front of it");
    let rules = "{extends: default, rules: {line-length: {max: 140}, document-start: disable, truthy: disable}}";
    well(Command::new(tool("yamllint")).args(["--strict", "-d", rules]).arg(&compose));
}

#[test]
fn the_chart_is_well_formed_and_what_it_makes_is_known_to_kubernetes() {
    let chart = deploy("helm/espalier");
    let said = well(Command::new(tool("python")).arg(root().join("tests/deploy/chart.py")).arg(&chart));
    assert!(said.contains("well: 3 kinds"), "{said}");
    let rules = "{extends: default, rules: {line-length: {max: 140}, document-start: disable, comments: disable}}";
    for file in ["Chart.yaml", "values.yaml"] {
        well(Command::new(tool("yamllint")).args(["--strict", "-d", rules]).arg(chart.join(file)));
    }
    let version = format!("version: {}", env!("CARGO_PKG_VERSION"));
    let text = read("helm/espalier/Chart.yaml");
    assert!(text.lines().any(|line| line == version), "the chart has the version of what it runs");
    assert!(text.contains(&format!("appVersion: \"{}\"", env!("CARGO_PKG_VERSION"))));
}

/// What lintian has to say of it, without what is known.
fn complaints(said: &str) -> Vec<&str> {
    said.lines().filter(|line| line.starts_with("E: ") || line.starts_with("W: ")).collect()
}

#[test]
fn the_debian_package_is_well_formed_and_brings_no_surprises() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut build = Command::new(root().join("scripts/package"));
    // Quick rather than small.
    build.arg(env!("CARGO_BIN_EXE_espalier")).arg(folder.path()).env("ESPALIER_DEB", "-Zgzip -z1");
    let said = well(&mut build);
    let package = said.lines().last().expect("the package's path");
    let mut lint = Command::new("lintian");
    lint.args(["--allow-root", "--tag-display-limit", "0", "--fail-on", "error,warning"]);
    let said = well(lint.arg(package));
    assert_eq!(complaints(&said), Vec::<&str>::new(), "{said}");

    let contents = well(Command::new("dpkg-deb").args(["--contents", package]));
    for path in [
        "./usr/bin/espalier",
        "./usr/lib/systemd/system/espalier.service",
        "./etc/espalier/espalier.toml",
        "./usr/share/man/man1/espalier.1.gz",
        "./usr/share/doc/espalier/examples/triggers/cart-abandoned.toml",
        "./usr/share/doc/espalier/docs/operations.md",
        "./usr/share/doc/espalier/docs/reference/commands.md",
        "./usr/share/doc/espalier/docs/reference/connectors/shopify.md",
        "./usr/share/doc/espalier/docs/guides/shopify-klaviyo/espalier.toml",
        "./usr/share/doc/espalier/docs/images/health.png",
    ] {
        assert!(contents.lines().any(|line| line.ends_with(path)), "{path}: {contents}");
    }
    assert!(contents.lines().all(|line| line.contains(" root/root ")), "all is root's");
    let tree = folder.path().join("tree");
    well(Command::new("dpkg-deb").arg("--raw-extract").arg(package).arg(&tree));
    let conffiles = std::fs::read_to_string(tree.join("DEBIAN/conffiles")).expect("conffiles");
    assert_eq!(conffiles, "/etc/espalier/espalier.toml\n", "what somebody changes is kept");
    for script in ["postinst", "prerm", "postrm"] {
        let text = std::fs::read_to_string(tree.join("DEBIAN").join(script)).expect("a script");
        well(Command::new("sh").arg("-n").arg(tree.join("DEBIAN").join(script)));
        for surprise in ["/var/lib/espalier ", "rm ", "adduser", "useradd", "systemctl start", "systemctl enable"] {
            assert!(!text.replace("/var/lib/espalier,", "").contains(surprise), "{script}: {surprise}");
        }
    }
    // The configuration that it begins with is one, with the program that it comes with.
    let said = well(
        Command::new(tree.join("usr/bin/espalier"))
            .args(["check", "--config"])
            .arg(tree.join("etc/espalier/espalier.toml")),
    );
    assert!(!said.contains("mistake"), "{said}");
}
