//! Options of NixOS that take a secret in the configuration, and those beside them that
//! take the path of a file with it. Each pair stands in nixpkgs, release 24.11, in the module
//! named with it.

/// The option's path, `*` for any one name, the option that takes a file, and who reads it.
const PAIRS: [(&str, &str, &str); 19] = [
    // nixos/modules/config/users-groups.nix
    ("users.users.*.hashedPassword", "hashedPasswordFile", "root"),
    ("users.extraUsers.*.hashedPassword", "hashedPasswordFile", "root"),
    // nixos/modules/services/networking/wireguard.nix
    ("networking.wireguard.interfaces.*.privateKey", "privateKeyFile", "root"),
    ("networking.wireguard.interfaces.*.peers.presharedKey", "presharedKeyFile", "root"),
    // nixos/modules/services/networking/wg-quick.nix
    ("networking.wg-quick.interfaces.*.privateKey", "privateKeyFile", "root"),
    ("networking.wg-quick.interfaces.*.peers.presharedKey", "presharedKeyFile", "root"),
    // nixos/modules/services/networking/mosquitto.nix
    ("services.mosquitto.listeners.users.*.password", "passwordFile", "mosquitto"),
    ("services.mosquitto.listeners.users.*.hashedPassword", "hashedPasswordFile", "mosquitto"),
    // nixos/modules/services/databases/redis.nix
    ("services.redis.servers.*.requirePass", "requirePassFile", "root"),
    // nixos/modules/services/misc/gitea.nix
    ("services.gitea.database.password", "passwordFile", "gitea"),
    // nixos/modules/services/cluster/k3s/default.nix
    ("services.k3s.token", "tokenFile", "root"),
    // nixos/modules/services/cluster/rke2/default.nix
    ("services.rke2.token", "tokenFile", "root"),
    // nixos/modules/services/networking/coturn.nix
    ("services.coturn.static-auth-secret", "static-auth-secret-file", "turnserver"),
    // nixos/modules/services/monitoring/prometheus/default.nix
    ("services.prometheus.scrapeConfigs.basic_auth.password", "password_file", "prometheus"),
    ("services.prometheus.scrapeConfigs.bearer_token", "bearer_token_file", "prometheus"),
    ("services.prometheus.remoteWrite.basic_auth.password", "password_file", "prometheus"),
    ("services.prometheus.remoteWrite.bearer_token", "bearer_token_file", "prometheus"),
    ("services.prometheus.remoteRead.basic_auth.password", "password_file", "prometheus"),
    // nixos/modules/services/networking/hostapd.nix
    ("services.hostapd.radios.*.networks.*.authentication.wpaPassword", "wpaPasswordFile", "root"),
];

/// The option beside `path` that takes a file, and the user who reads it.
pub(super) fn with_file(path: &[String]) -> Option<(&'static str, &'static str)> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    // In a module of two halves, options stand in `config`.
    let path = path.strip_prefix(&["config"]).unwrap_or(&path);
    let fits = |pattern: &str| {
        let parts: Vec<&str> = pattern.split('.').collect();
        parts.len() == path.len()
            && parts.iter().zip(path).all(|(part, name)| *part == "*" || part == name)
    };
    PAIRS.iter().find(|(pattern, ..)| fits(pattern)).map(|(_, file, owner)| (*file, *owner))
}

/// A name for the secret at `path`: whose it is, and what.
pub(super) fn name(path: &[String]) -> String {
    let what = path.last().map_or("", String::as_str);
    let what = match what {
        "hashedPassword" => "password".to_owned(),
        what => kebab(what),
    };
    let is_whose = |part: &&String| {
        !matches!(
            part.as_str(),
            "config"
                | "users"
                | "services"
                | "networking"
                | "interfaces"
                | "database"
                | "settings"
                | "security"
                | "peers"
                | "authentication"
                | "servers"
        )
    };
    let whose = path.iter().rev().skip(1).find(is_whose);
    match whose.map(|whose| kebab(whose)) {
        Some(whose) if !whose.is_empty() => format!("{whose}-{what}"),
        Some(_) | None => what,
    }
}

/// `privateKey` as `private-key`.
fn kebab(text: &str) -> String {
    let mut out = String::new();
    for char in text.chars() {
        match char {
            'A'..='Z' => {
                if !out.is_empty() && !out.ends_with('-') {
                    out.push('-');
                }
                out.push(char.to_ascii_lowercase());
            }
            'a'..='z' | '0'..='9' => out.push(char),
            _ if out.is_empty() || out.ends_with('-') => {}
            _ => out.push('-'),
        }
    }
    out.trim_end_matches('-').chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split('.').map(ToOwned::to_owned).collect()
    }

    #[test]
    fn an_option_is_known_by_its_whole_path() {
        assert_eq!(
            with_file(&path("users.users.root.hashedPassword")),
            Some(("hashedPasswordFile", "root"))
        );
        assert_eq!(
            with_file(&path("config.users.users.root.hashedPassword")),
            Some(("hashedPasswordFile", "root"))
        );
        let coturn = with_file(&path("services.coturn.static-auth-secret"));
        assert_eq!(coturn, Some(("static-auth-secret-file", "turnserver")));
        assert_eq!(with_file(&path("my.hashedPassword")), None);
        assert_eq!(with_file(&path("users.users.root.name")), None);
    }

    #[test]
    fn a_secret_is_named_by_whose_it_is() {
        assert_eq!(name(&path("users.users.root.hashedPassword")), "root-password");
        assert_eq!(name(&path("networking.wg-quick.interfaces.wg0.privateKey")), "wg0-private-key");
        assert_eq!(name(&path("services.gitea.database.password")), "gitea-password");
        assert_eq!(name(&path("token")), "token");
    }
}
