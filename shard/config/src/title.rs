//! `proc-title-template`: what the list of processes shows.

use super::kind::{Kind, Setting};
use super::{Config, ConfigError};

/// A text with names in braces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TitleTemplate(String);

/// What this process is, as far as the configuration does not say it.
#[derive(Clone, Copy, Debug)]
pub struct Process<'a> {
    /// The name that it was started by.
    pub title: &'a str,
    pub config_file: Option<&'a str>,
}

impl TitleTemplate {
    pub(super) fn redis_default() -> Self {
        Self("{title} {listen-addr} {server-mode}".into())
    }

    /// The title that it makes, without the spaces at its ends.
    pub fn fill(&self, process: Process<'_>, config: &Config) -> String {
        let filled = filled(&self.0, |name| value(name, process, config));
        filled.unwrap_or_default().trim().into()
    }
}

impl Setting for TitleTemplate {
    fn parse(_: Kind, text: &str, _: &Self) -> Result<Self, ConfigError> {
        let nothing = Process {
            title: "",
            config_file: None,
        };
        let known = filled(text, |name| value(name, nothing, &Config::default())).is_some();
        if known && !text.is_empty() {
            Ok(Self(text.into()))
        } else {
            Err(ConfigError::from(
                "template format is invalid or contains unknown variables",
            ))
        }
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

/// `template` with the value of each name. `None` where a brace is not closed, or there is no value
/// of this name.
fn filled(template: &str, value: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('{') {
        let (name, after) = behind.split_once('}')?;
        text.push_str(before);
        text.push_str(&value(name)?);
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}

fn value(name: &str, process: Process<'_>, config: &Config) -> Option<String> {
    let socket = || config.get("unixsocket").unwrap_or_default();
    Some(match name {
        "title" => process.title.into(),
        "listen-addr" if (config.port, config.tls_port) == (0, 0) => {
            format!("unixsocket:{}", socket())
        }
        "listen-addr" => {
            let first = config.bind.0.first().map_or("*", String::as_str);
            let port = match config.port {
                0 => config.tls_port,
                port => port,
            };
            format!("{}:{port}", first.trim_start_matches('-'))
        }
        // Neither in a cluster nor a sentinel.
        "server-mode" => String::new(),
        "port" => config.port.to_string(),
        "tls-port" => config.tls_port.to_string(),
        "unixsocket" => socket(),
        "config-file" => process.config_file.unwrap_or_default().into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title(template: &str) -> Option<String> {
        let mut config = Config::default();
        config.set("unixsocket", "/s").expect("allowed");
        config.set("bind", "127.0.0.1 -::1").expect("allowed");
        config.set("proc-title-template", template).ok()?;
        let process = Process {
            title: "percore",
            config_file: Some("/a.conf"),
        };
        Some(config.proc_title_template.fill(process, &config))
    }

    #[test]
    fn names_in_braces_become_values() {
        for (template, expected) in [
            (
                "{title} {listen-addr} {server-mode}",
                "percore 127.0.0.1:6379",
            ),
            (
                "x {port} {tls-port} {unixsocket} {config-file} }",
                "x 6379 0 /s /a.conf }",
            ),
            ("plain", "plain"),
        ] {
            assert_eq!(title(template).as_deref(), Some(expected), "{template}");
        }
        for template in ["", "{foo}", "x {title", "}{", "{}"] {
            assert_eq!(title(template), None, "{template}");
        }
    }

    #[test]
    fn without_a_port_it_shows_the_socket() {
        let mut config = Config::default();
        config.set("port", "0").expect("allowed");
        config.set("unixsocket", "/s").expect("allowed");
        let process = Process {
            title: "percore",
            config_file: None,
        };
        let title = config.proc_title_template.fill(process, &config);
        assert_eq!(title, "percore unixsocket:/s");
        config.set("tls-port", "6380").expect("allowed");
        let process = Process {
            title: "percore",
            config_file: None,
        };
        let title = config.proc_title_template.fill(process, &config);
        assert_eq!(title, "percore *:6380");
    }
}
