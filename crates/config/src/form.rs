//! Forms of values that are texts: hosts, origins, time zones, log filters.

/// A name or an address, with a port or without; a leading dot stands for all names below it.
pub(crate) fn is_host(text: &str) -> bool {
    let (name, port) = crate::split_host(text);
    is_name(name.strip_prefix('.').unwrap_or(name)) && port.is_none_or(is_port)
}

/// `scheme://host` or `scheme://host:port`, as browsers send it.
pub(crate) fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return false };
    // Pages of apps have schemes of their own.
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    is_scheme && !host.starts_with('.') && is_host(host)
}

fn is_name(name: &str) -> bool {
    if let Some(address) = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    !name.is_empty()
        && !name.starts_with('.')
        && !name.contains("..")
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Whether a text could be in the IANA time zone database. Which names are is known to PostgreSQL.
pub(crate) fn is_time_zone(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'+' | b'-'))
    };
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.split('/').count() <= 3
        && text.split('/').all(is_part)
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Whether each part of a log filter says a level. A lone word that is none would be taken for the name of a module, and
/// silence all others.
pub(crate) fn is_log_filter(text: &str) -> bool {
    text.split(',').map(str::trim).all(|part| {
        let (target, level) = part.rsplit_once('=').map_or((None, part), |(target, level)| (Some(target), level));
        let is_target = |target: &str| {
            !target.is_empty()
                && target
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'-' | b'[' | b']'))
        };
        target.is_none_or(is_target) && LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_origins_are_told_from_other_texts() {
        for host in ["localhost", "jhe.example.org", ".example.org", "jhe_1:8000", "[::1]", "[::1]:8000", "10.0.0.7"] {
            assert!(is_host(host), "{host}");
        }
        for text in ["", ".", "http://a", "a/b", "a b", "a:", "a:0", "a:70000", "a:b", "*.example.org", "a..b", "[::1"]
        {
            assert!(!is_host(text), "{text}");
        }
        for origin in ["https://jhe.example.org", "http://localhost:3000", "capacitor://localhost", "http://[::1]:3000"]
        {
            assert!(is_origin(origin), "{origin}");
        }
        for text in ["jhe.example.org", "https://", "https://a/b", "://a", "https://.a", "https://a?b", "null", "*"] {
            assert!(!is_origin(text), "{text}");
        }
    }

    #[test]
    fn time_zones_look_like_names_of_the_iana_database() {
        for zone in ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+1", "EST5EDT"] {
            assert!(is_time_zone(zone), "{zone}");
        }
        for text in ["+02:00", "Europe/", "/Berlin", "Europe Berlin", "a/b/c/d", "Europe/Berlin;"] {
            assert!(!is_time_zone(text), "{text}");
        }
    }

    #[test]
    fn log_filters_say_levels() {
        for filter in
            ["info", "WARN", "off", "info,jhe_http=debug", "warn, sqlx::query=trace", "jhe_http[request]=debug"]
        {
            assert!(is_log_filter(filter), "{filter}");
        }
        for text in ["verbose", "jhe_http", "info,", "info,jhe_http=", "=info", "info;debug", "jhe http=info"] {
            assert!(!is_log_filter(text), "{text}");
        }
    }
}
