//! Two network namespaces with a cable between them: this one, and one for the speaker.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::process::until;

/// This end.
pub const HERE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const HERE_NET: &str = "10.77.0.1/24";
const THERE_NET: &str = "10.77.0.2/24";
/// Set by `scripts/net-test.sh`, which has made what these tests need.
const PREPARED: &str = "TONEARM_NET_TEST";

/// The cable. Gone with the test.
pub struct Cable {
    here: File,
    there: File,
    /// Somebody has to be in a namespace for it to last.
    holder: Child,
}

impl Cable {
    /// Lays it.
    pub fn lay() -> Self {
        assert!(
            std::env::var_os(PREPARED).is_some(),
            "this test needs namespaces of its own: run `make net-test`"
        );
        let holder = Command::new("unshare")
            .args(["--net", "sleep", "1000000"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let of = |id: &str| format!("/proc/{id}/ns/net");
        let (own, other) = (of("self"), of(&holder.id().to_string()));
        until("the speaker's namespace", || {
            let (own, other) = (fs::read_link(&own), fs::read_link(&other));
            let differ = other
                .as_ref()
                .is_ok_and(|other| own.as_ref().is_ok_and(|own| own != other));
            if differ { Ok(()) } else { Err(format!("{other:?}")) }
        });
        let cable = Self {
            here: File::open(own).unwrap(),
            there: File::open(other).unwrap(),
            holder,
        };
        let id = cable.holder.id().to_string();
        run(&["ip", "link", "set", "lo", "up"]);
        run(&[
            "ip", "link", "add", "here", "type", "veth", "peer", "name", "there", "netns", &id,
        ]);
        run(&["ip", "address", "add", HERE_NET, "dev", "here"]);
        run(&["ip", "link", "set", "here", "up"]);
        cable.inside(|| {
            run(&["ip", "link", "set", "lo", "up"]);
            run(&["ip", "address", "add", THERE_NET, "dev", "there"]);
        });
        cable.switch(true);
        cable
    }

    /// Does something in the speaker's namespace: programs that are started there, and connections that are made.
    pub fn inside<T>(&self, act: impl FnOnce() -> T) -> T {
        let kind = Some(LinkNameSpaceType::Network);
        let enter = |namespace: &File| {
            use std::os::fd::AsFd as _;
            move_into_link_name_space(namespace.as_fd(), kind).unwrap();
        };
        enter(&self.there);
        let done = act();
        enter(&self.here);
        done
    }

    /// Plugs the cable in, or out, at this end: the speaker's interface has a carrier, or none.
    #[expect(clippy::unused_self, reason = "only a cable that was laid can be handled")]
    pub fn plug(&self, is_in: bool) {
        run(&["ip", "link", "set", "here", if is_in { "up" } else { "down" }]);
    }

    /// Switches the speaker's interface on or off.
    pub fn switch(&self, is_on: bool) {
        self.inside(|| {
            run(&["ip", "link", "set", "there", if is_on { "up" } else { "down" }]);
            if is_on {
                let gateway = HERE.to_string();
                run(&["ip", "route", "replace", "default", "via", &gateway]);
            }
        });
    }

    /// Every packet is lost on its way, and nobody is told; or none is.
    #[expect(clippy::unused_self, reason = "only a cable that was laid can be handled")]
    pub fn lose_packets(&self, are_lost: bool) {
        if are_lost {
            let chain =
                |name, way| format!("chain {name} {{ type filter hook {name}put priority 0; {way} here drop; }};");
            let rules = format!(
                "table inet lossy {{ {} {} }}",
                chain("in", "iifname"),
                chain("out", "oifname")
            );
            run(&["nft", &rules]);
        } else {
            run(&["nft", "delete table inet lossy"]);
        }
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        // Its interface goes with the namespace, and takes this end along.
        drop(self.holder.kill());
        drop(self.holder.wait());
        drop(
            Command::new("ip")
                .args(["link", "delete", "here"])
                .stderr(Stdio::null())
                .status(),
        );
        drop(Command::new("nft").arg("flush ruleset").stderr(Stdio::null()).status());
    }
}

#[track_caller]
fn run(words: &[&str]) {
    let output = Command::new(words[0]).args(&words[1..]).output();
    let output = output.unwrap_or_else(|error| panic!("{words:?}: {error}; `make net-test` installs what is missing"));
    assert!(
        output.status.success(),
        "{words:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
