//! Finding and making bridges.

use subhost_net::bridge::{self, Settings};
use subhost_net::observe::Observed;

use crate::host::{Test, ip_one, on_fresh_host, run};

pub(crate) const TESTS: &[Test] = &[
    ("missing_bridge_error_lists_those_there", missing_bridge_error_lists_those_there),
    ("link_of_another_kind_is_no_bridge", link_of_another_kind_is_no_bridge),
    ("made_bridge_is_up_and_found_by_every_name", made_bridge_is_up_and_found_by_every_name),
    ("taken_bridge_name_is_an_error", taken_bridge_name_is_an_error),
    ("observed_links_are_those_of_ip", observed_links_are_those_of_ip),
];

fn missing_bridge_error_lists_those_there() {
    on_fresh_host(|| {
        assert_eq!(
            bridge::find("homenet").unwrap_err().to_string(),
            "no bridge `homenet`; there are no bridges"
        );
        run("ip link add lan type bridge");
        run("ip link add dmz type bridge");
        assert_eq!(
            bridge::find("homenet").unwrap_err().to_string(),
            "no bridge `homenet`; there are: lan, dmz"
        );
    });
}

fn link_of_another_kind_is_no_bridge() {
    on_fresh_host(|| {
        run("ip link add homenet type veth");
        assert_eq!(
            bridge::find("homenet").unwrap_err().to_string(),
            "link `homenet` is not a bridge but a link of kind veth"
        );
        assert_eq!(
            bridge::find("lo").unwrap_err().to_string(),
            "link `lo` is not a bridge but a physical interface"
        );
        assert_eq!(bridge::find("../x").unwrap_err().to_string(), "name `../x`: has a slash or a colon");
    });
}

fn made_bridge_is_up_and_found_by_every_name() {
    on_fresh_host(|| {
        let index = bridge::create("homenet", &Settings::default()).unwrap();
        run("ip link property add dev homenet altname the-network-at-home");
        let link = ip_one("link show homenet");
        assert_eq!(link["ifindex"], index);
        assert_eq!(link["linkinfo"]["info_kind"], "bridge");
        assert!(link["flags"].as_array().unwrap().contains(&"UP".into()));
        assert_eq!(bridge::find("homenet").unwrap(), index);
        assert_eq!(bridge::find("the-network-at-home").unwrap(), index);
        assert_eq!(
            bridge::list().unwrap().iter().map(|link| link.name.as_str()).collect::<Vec<_>>(),
            ["homenet"]
        );
    });
}

fn taken_bridge_name_is_an_error() {
    on_fresh_host(|| {
        bridge::create("homenet", &Settings::default()).unwrap();
        assert_eq!(
            bridge::create("homenet", &Settings::default()).unwrap_err().to_string(),
            "link `homenet` exists already"
        );
    });
}

fn observed_links_are_those_of_ip() {
    on_fresh_host(|| {
        for number in 0..150 {
            run(&format!("ip link add br{number} mtu {} type bridge", 1000 + number));
        }
        run("ip link set br7 up");
        let observed = Observed::read().unwrap();
        assert_eq!(observed.links.len(), 151);
        for number in [0, 7, 149] {
            let name = format!("br{number}");
            let link = observed.by_name(&name).unwrap();
            let witness = ip_one(&format!("link show {name}"));
            assert_eq!(witness["ifindex"], link.index);
            assert_eq!(witness["address"], link.mac.unwrap().to_string());
            assert_eq!(witness["mtu"], link.mtu);
            assert_eq!(witness["flags"].as_array().unwrap().contains(&"UP".into()), link.up);
            assert_eq!(witness["linkinfo"]["info_kind"], *link.kind.as_ref().unwrap());
        }
    });
}
