//! Values of options that are more than a text or a number.

use super::{Error, Listen, PublicUrl};
use ipnet::IpNet;

pub(super) fn listen(url: &str) -> Result<Listen, Error> {
    let wrong = || Error::Value {
        option: "listen",
        reason: format!("{url} is not http://ADDRESS:PORT or https://ADDRESS:PORT with an IP address"),
    };
    let (scheme, address) = url.split_once("://").ok_or_else(wrong)?;
    let is_https = match scheme {
        "http" => false,
        "https" => true,
        _ => return Err(wrong()),
    };
    let address = address.trim_end_matches('/').parse().map_err(|_| wrong())?;
    Ok(Listen { address, is_https })
}

pub(super) fn public_url(text: &str) -> Result<PublicUrl, Error> {
    let wrong = |reason: &str| Error::Value { option: "public-url", reason: format!("{text} {reason}") };
    let url = url::Url::parse(text).map_err(|_| wrong("is not a URL like https://hooks.example.com"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("is not a URL like https://hooks.example.com"));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("has a path: the console can only be at the root of a host; give it a separate host name"));
    }
    Ok(PublicUrl { origin: url.origin().ascii_serialization(), is_https: url.scheme() == "https" })
}

pub(super) fn network(option: &'static str, text: &str) -> Result<IpNet, Error> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from))
        .map_err(|_| Error::Value { option, reason: format!("{text} is not a network like 10.0.0.0/8") })
}
