use super::*;

fn rules(policy: Policy) -> Rules {
    Rules { policy, ..Rules::default() }
}

fn verdict(rules: &Rules, address: &str) -> Result<(), Refusal> {
    rules.check(SocketAddr::new(address.parse().expect("an address"), 8443), Vec::new)
}

/// Each row: the address, and the verdicts under `internal` and under `internet`.
#[test]
fn every_special_purpose_range_has_its_verdict() {
    use Refusal::{LinkLocal, Loopback, Multicast, Private, Reserved, Unspecified};
    for (address, internal, internet) in [
        ("0.0.0.0", Err(Unspecified), Err(Unspecified)),
        ("0.1.2.3", Err(Unspecified), Err(Unspecified)),
        ("10.1.2.3", Ok(()), Err(Private)),
        ("100.64.0.1", Ok(()), Err(Private)),
        ("100.127.255.255", Ok(()), Err(Private)),
        ("100.128.0.1", Ok(()), Ok(())),
        ("100.100.100.200", Err(LinkLocal), Err(LinkLocal)),
        ("127.0.0.1", Err(Loopback), Err(Loopback)),
        ("127.255.0.1", Err(Loopback), Err(Loopback)),
        ("168.63.129.16", Err(LinkLocal), Err(LinkLocal)),
        ("168.63.129.17", Ok(()), Ok(())),
        ("169.254.169.254", Err(LinkLocal), Err(LinkLocal)),
        ("172.16.0.1", Ok(()), Err(Private)),
        ("172.31.255.255", Ok(()), Err(Private)),
        ("172.32.0.1", Ok(()), Ok(())),
        ("192.0.0.1", Err(Reserved), Err(Reserved)),
        ("192.0.0.192", Err(LinkLocal), Err(LinkLocal)),
        ("192.0.2.1", Err(Reserved), Err(Reserved)),
        ("192.88.99.1", Err(Reserved), Err(Reserved)),
        ("192.168.1.1", Ok(()), Err(Private)),
        ("198.18.0.1", Ok(()), Err(Private)),
        ("198.19.255.1", Ok(()), Err(Private)),
        ("198.51.100.1", Err(Reserved), Err(Reserved)),
        ("203.0.113.1", Err(Reserved), Err(Reserved)),
        ("224.0.0.1", Err(Multicast), Err(Multicast)),
        ("239.255.255.255", Err(Multicast), Err(Multicast)),
        ("240.0.0.1", Err(Reserved), Err(Reserved)),
        ("255.255.255.255", Err(Multicast), Err(Multicast)),
        ("8.8.8.8", Ok(()), Ok(())),
        ("::", Err(Unspecified), Err(Unspecified)),
        ("::1", Err(Loopback), Err(Loopback)),
        ("100::1", Err(Reserved), Err(Reserved)),
        ("2001:2::1", Err(Reserved), Err(Reserved)),
        ("2001:db8::1", Err(Reserved), Err(Reserved)),
        ("3fff::1", Err(Reserved), Err(Reserved)),
        ("5f00::1", Err(Reserved), Err(Reserved)),
        ("4000::1", Err(Reserved), Err(Reserved)),
        ("fc00::1", Ok(()), Err(Private)),
        ("fd00:ec2::254", Err(LinkLocal), Err(LinkLocal)),
        ("fd20:ce::254", Err(LinkLocal), Err(LinkLocal)),
        ("fe80::1", Err(LinkLocal), Err(LinkLocal)),
        ("febf::1", Err(LinkLocal), Err(LinkLocal)),
        ("fec0::1", Err(Reserved), Err(Reserved)),
        ("ff02::1", Err(Multicast), Err(Multicast)),
        ("2606:4700::1111", Ok(()), Ok(())),
        // IPv4 embedded in IPv6.
        ("::ffff:169.254.169.254", Err(LinkLocal), Err(LinkLocal)),
        ("::ffff:127.0.0.1", Err(Loopback), Err(Loopback)),
        ("::ffff:10.0.0.1", Ok(()), Err(Private)),
        ("::ffff:0:169.254.169.254", Err(LinkLocal), Err(LinkLocal)),
        ("::127.0.0.1", Err(Loopback), Err(Loopback)),
        ("64:ff9b::169.254.169.254", Err(LinkLocal), Err(LinkLocal)),
        ("64:ff9b:1::a9fe:a9fe", Err(LinkLocal), Err(LinkLocal)),
        ("64:ff9b:1:7:8:9:7f00:1", Err(Loopback), Err(Loopback)),
        ("2002:a9fe:a9fe::1", Err(LinkLocal), Err(LinkLocal)),
        ("2002:7f00:1::", Err(Loopback), Err(Loopback)),
        ("2001:0:1:2:3:4:5601:5601", Err(LinkLocal), Err(LinkLocal)),
        ("2001:0:1:2:3:4:80ff:fffe", Err(Loopback), Err(Loopback)),
        ("fd00::5efe:a9fe:a9fe", Err(LinkLocal), Err(LinkLocal)),
        ("2606::200:5efe:7f00:1", Err(Loopback), Err(Loopback)),
        // An embedded public address does not make the address public.
        ("fe80::5efe:808:808", Err(LinkLocal), Err(LinkLocal)),
        ("fd12::5efe:808:808", Ok(()), Err(Private)),
        ("2606::5efe:808:808", Ok(()), Ok(())),
        // Prefixes of 48, 56, 64 and 96 bits.
        ("64:ff9b:1:a9fe:a9:fe00:808:808", Err(LinkLocal), Err(LinkLocal)),
        ("64:ff9b:1:a01:2:300:808:808", Ok(()), Err(Private)),
        ("64:ff9b:1:a9:fe:a9fe::", Err(LinkLocal), Err(LinkLocal)),
        ("64:ff9b:1:0:a9:fea9:fe00:0", Err(LinkLocal), Err(LinkLocal)),
        ("64:ff9b:1::808:808", Ok(()), Ok(())),
        ("64:ff9b:1::", Err(Reserved), Err(Reserved)),
    ] {
        assert_eq!(verdict(&rules(Policy::Internal), address), internal, "internal {address}");
        assert_eq!(verdict(&rules(Policy::Internet), address), internet, "internet {address}");
        let listed = verdict(&rules(Policy::Listed), address);
        assert!(listed.is_err(), "listed {address}");
    }
}

#[test]
fn allowed_networks_override_the_policy_but_never_permit_metadata() {
    let allowed = vec!["127.0.0.0/8".parse().expect("net"), "0.0.0.0/0".parse().expect("net")];
    for policy in [Policy::Internal, Policy::Internet, Policy::Listed] {
        let rules = Rules { policy, allowed: allowed.clone(), ..Rules::default() };
        assert_eq!(verdict(&rules, "127.0.0.1"), Ok(()));
        assert_eq!(verdict(&rules, "::ffff:127.0.0.1"), Ok(()));
        assert_eq!(verdict(&rules, "10.0.0.1"), Ok(()));
        assert_eq!(verdict(&rules, "169.254.169.254"), Err(Refusal::LinkLocal));
        assert_eq!(verdict(&rules, "0.0.0.0"), Err(Refusal::Unspecified));
    }
}

#[test]
fn consoles_own_listeners_are_refused_by_address_and_port() {
    let rules = Rules {
        allowed: vec!["127.0.0.0/8".parse().expect("net")],
        listeners: ["127.0.0.1:8443", "0.0.0.0:9000", "[::ffff:0.0.0.0]:9001"]
            .map(|text| text.parse().expect("address"))
            .into(),
        ..Rules::default()
    };
    let own = || vec!["10.0.0.5".parse().expect("address"), "2002:808:808::1".parse().expect("address")];
    let check = |address: &str| rules.check(address.parse().expect("address"), own);
    assert_eq!(check("127.0.0.1:8443"), Err(Refusal::OwnListener));
    assert_eq!(check("[::ffff:127.0.0.1]:8443"), Err(Refusal::OwnListener));
    assert_eq!(check("127.0.0.1:8444"), Ok(()));
    assert_eq!(check("10.0.0.5:8443"), Ok(()));
    assert_eq!(check("10.0.0.5:9000"), Err(Refusal::OwnListener));
    assert_eq!(check("127.0.0.2:9000"), Err(Refusal::OwnListener));
    assert_eq!(check("10.0.0.5:9001"), Err(Refusal::OwnListener));
    assert_eq!(check("[2002:808:808::1]:9000"), Err(Refusal::OwnListener));
    assert_eq!(check("10.0.0.6:9000"), Ok(()));
}
