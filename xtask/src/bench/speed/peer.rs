//! A peer that speaks Svix's API. The peer already runs. The bench makes applications and endpoints in it.

use super::subject::{LANES, Message, Topic, payload};
use crate::server::{read_response, request};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The longest time of a request.
const PATIENCE: Duration = Duration::from_secs(20);

/// A prepared peer.
pub(super) struct Peer {
    address: String,
    token: String,
    /// The id of the application of each topic. A topic that is missing goes to the application of the lanes.
    applications: HashMap<&'static str, String>,
    /// The ids of its processes, as the command line names them.
    pub(super) processes: Vec<u32>,
}

impl Peer {
    /// Makes an application for one endpoint, for ten, and for the lanes with the endpoint that hangs.
    pub(super) fn prepare(url: &str, token: &str, processes: &[u32], receiver: &str) -> Result<Self> {
        let address = url.strip_prefix("http://").context("--against needs a URL that begins with http://")?;
        let mut peer = Self {
            address: address.trim_end_matches('/').to_owned(),
            token: token.to_owned(),
            applications: HashMap::new(),
            processes: processes.to_vec(),
        };
        for topic in [Topic::One, Topic::Ten, Topic::Lanes] {
            let id = peer.create("/api/v1/app/", &json!({"name": format!("bench {}", topic.name())}))?;
            let path = format!("/api/v1/app/{id}/endpoint/");
            for endpoint in topic.endpoints() {
                let mut fields = json!({"url": format!("http://{receiver}/e/{endpoint}")});
                if topic == Topic::Lanes {
                    fields["channels"] = json!([format!("lane{}", endpoint % LANES)]);
                }
                peer.create(&path, &fields)?;
            }
            if topic == Topic::Lanes {
                for other in [Topic::Hanging, Topic::Backlog] {
                    let url = format!("http://{receiver}/e/{}", other.endpoints().start());
                    peer.create(&path, &json!({"url": url, "channels": [other.name()]}))?;
                }
            }
            peer.applications.insert(topic.name(), id);
        }
        Ok(peer)
    }

    /// Creates a thing. Returns its id.
    fn create(&self, path: &str, fields: &Value) -> Result<String> {
        let mut stream = BufReader::new(TcpStream::connect(&self.address).context("the peer does not listen")?);
        stream.get_ref().set_read_timeout(Some(PATIENCE))?;
        let header = format!("Authorization: Bearer {}\r\n", self.token);
        let post = request(&format!("POST {path}"), &self.address, &header, &fields.to_string());
        stream.get_mut().write_all(post.as_bytes())?;
        let (status, body) = read_response(&mut stream)?;
        if !(200..300).contains(&status) {
            bail!("the peer responded {status} to POST {path}: {}", String::from_utf8_lossy(&body));
        }
        let made: Value = serde_json::from_slice(&body)?;
        made["id"].as_str().map(str::to_owned).with_context(|| format!("the response to POST {path} has no id"))
    }

    pub(super) fn message(&self, topic: Topic) -> Message {
        let application = self.applications.get(topic.name()).or_else(|| self.applications.get(Topic::Lanes.name()));
        let channel = match topic {
            Topic::One | Topic::Ten => String::new(),
            Topic::Lanes => ",\"channels\":[\"lane{lane}\"]".to_owned(),
            Topic::Hanging | Topic::Backlog => format!(",\"channels\":[\"{}\"]", topic.name()),
        };
        Message {
            url: format!("http://{}/api/v1/app/{}/msg/", self.address, application.cloned().unwrap_or_default()),
            token: self.token.clone(),
            body: format!("{{\"eventType\":\"order.created\",\"payload\":{{{}}}{channel}}}", payload()),
        }
    }
}
