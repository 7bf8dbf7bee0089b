//! A fleet from nothing; gone when dropped.

use std::path::{Path, PathBuf};

use floe_proto::digest::Digest;
use tempfile::TempDir;
use tokio::process::Command;

use crate::aws::cloud::{ACCOUNT, Cloud, REGION};
use crate::control_plane::ControlPlane;
use crate::host::Host;
use crate::operator::{Finished, Operator};
use crate::repository::Repository;
use crate::script::{self, eventually};

/// A control plane, its hosts, and the repository that they are described in.
#[derive(Debug)]
pub struct World {
    /// The fleet's repository.
    pub repository: Repository,
    /// The real `floe serve`.
    pub control: ControlPlane,
    /// In the order in which they were asked for.
    pub hosts: Vec<Host>,
    images: Vec<(String, String)>,
    cloud: Option<Cloud>,
    dir: Ground,
}

/// The directory of a world, and the network that carries its name.
#[derive(Debug)]
struct Ground(TempDir);

impl World {
    /// A control plane and so many connected hosts of each role, named
    /// `<first part of the role>-<number>`. All run their image's configuration, and
    /// none was pushed to.
    pub async fn of(roles: &[(&str, usize)]) -> Self {
        let mut world = Self::without_hosts().await;
        world.populate(roles).await;
        world
    }

    /// Brings so many connected hosts of each role into a world without hosts.
    pub async fn populate(&mut self, roles: &[(&str, usize)]) {
        for (role, count) in roles {
            let short = role.split('.').next().unwrap_or(role);
            for number in 1..=*count {
                let host = self.prepare_host(&format!("{short}-{number}"), role).await;
                self.hosts.push(host);
            }
        }
        let boots = self.hosts.iter_mut().map(Host::boot);
        join_all(boots).await;
        self.await_online().await;
    }

    /// A control plane that nobody has enrolled with.
    pub async fn without_hosts() -> Self {
        Self::that(async |_, _| None).await
    }

    /// A control plane without hosts in an account on AWS, which it can ask; machines
    /// enrol by what AWS signs about them.
    pub async fn on_ec2() -> Self {
        let world = Self::that(async |path, repository| {
            let cloud = Cloud::start(path).await;
            repository.add_aws(&cloud.certificate());
            Some(cloud)
        });
        world.await
    }

    /// What `prepare` does happens before the control plane starts.
    ///
    /// # Panics
    ///
    /// Where the world cannot be made here; `make test` says why.
    async fn that(prepare: impl AsyncFnOnce(&Path, &Repository) -> Option<Cloud>) -> Self {
        let dir = Ground(tempfile::Builder::new().prefix("floe-world-").tempdir().unwrap());
        let path = dir.0.path();
        script::run(net(path).arg("up").env("FLOE_OWNER", std::process::id().to_string())).await;
        let repository = Repository::create(path, "fleet").await;
        let cloud = prepare(path, &repository).await;
        let control = ControlPlane::start(path, repository.path()).await;
        Self { repository, control, hosts: Vec::new(), images: Vec::new(), cloud, dir }
    }

    /// The directory of everything.
    pub fn path(&self) -> &Path {
        self.dir.0.path()
    }

    /// Somebody at a keyboard, in the fleet's repository.
    pub fn operator(&self) -> Operator {
        Operator {
            world: self.path().to_owned(),
            repository: self.repository.path().to_owned(),
            environment: Vec::new(),
            builder: None,
        }
    }

    /// Pushes the role as the repository has it, and watches to the end.
    pub async fn push(&self, role: &str) -> Finished {
        self.operator().floe(&["push", role, "--watch", "--output", "json"]).await
    }

    /// A host that is off, with its own join token on its disk.
    ///
    /// # Panics
    ///
    /// Where its image cannot be made, or no token be had.
    pub async fn prepare_host(&mut self, name: &str, role: &str) -> Host {
        let files = pinned(&self.ca(), &self.trust_root());
        self.prepare_host_from(role, name, role, files).await
    }

    /// A host of `role` that is off, whose disk has the image of another role, `files` and its
    /// join token.
    ///
    /// # Panics
    ///
    /// Where its image cannot be made, or no token be had.
    pub async fn prepare_host_from(
        &mut self,
        image: &str,
        name: &str,
        role: &str,
        mut files: Vec<String>,
    ) -> Host {
        let host = format!("local-{name}");
        let token = ["hosts", "token", role, "--host", &host, "--output", "json"];
        let token = self.operator().floe(&token).await.succeeded().json();
        let token = token["token"].as_str().unwrap();
        files.push(joining(self.path(), &host, token));
        let image = self.image(image).await;
        Host::new(self.path(), name, &image, files)
    }

    /// A machine of the role's image that is off, to be adopted: what `floe adopt` printed for it
    /// is on its disk.
    ///
    /// # Panics
    ///
    /// Where its image cannot be made, or nothing was printed.
    pub async fn adopt_host(&mut self, name: &str, role: &str) -> Host {
        let host = format!("local-{name}");
        let adopt = ["adopt", role, &host, "--output", "json"];
        let adopted = self.operator().floe(&adopt).await.succeeded().json();
        let join = self.path().join(format!("{host}.join.toml"));
        std::fs::write(&join, adopted["joins"][0]["content"].as_str().unwrap()).unwrap();
        let file = |name: &str| adopted[name].as_str().unwrap().to_owned();
        let files = vec![
            format!("{}:/etc/floe/ca.pem:0644", file("ca")),
            format!("{}:/etc/floe/trust.json:0644", file("trust_root")),
            format!("{}:/var/lib/floe/join.toml:0600", join.display()),
        ];
        let image = self.image(role).await;
        Host::new(self.path(), name, &image, files)
    }

    /// An instance that was launched from the role's image just now, and is about to
    /// boot. There is nothing of its own on its disk.
    ///
    /// # Panics
    ///
    /// Where its image cannot be made, or the world is not on EC2.
    pub async fn launch(&mut self, name: &str, role: &str) -> Host {
        let id = instance_id(name);
        let address = script::run(net(self.path()).args(["add", name])).await;
        self.cloud().launch(&id, &image_id(role), address.parse().unwrap());
        let image = self.image(role).await;
        let files = pinned(&self.ca(), &self.trust_root());
        Host::new(self.path(), name, &image, files).instance(&id)
    }

    /// Says that instances of the role's image are of the role.
    pub async fn add_image(&self, role: &str) {
        let image = image_id(role);
        let add =
            ["images", "add", &image, "--role", role, "--region", REGION, "--account", ACCOUNT];
        self.operator().floe(&add).await.succeeded();
    }

    /// AWS, where this world is on it.
    ///
    /// # Panics
    ///
    /// Where it is not.
    pub fn cloud(&self) -> &Cloud {
        self.cloud.as_ref().expect("a world on EC2")
    }

    /// Waits until the control plane sees every host that is up.
    pub async fn await_online(&self) {
        let operator = self.operator();
        eventually("every host to be online", async || {
            let list = operator.floe(&["hosts", "list", "--output", "json"]).await;
            if list.code != 0 {
                return None;
            }
            let list = list.json();
            let online = |host: &&serde_json::Value| host["online"] == true;
            let count = list["hosts"].as_array()?.iter().filter(online).count();
            (count == self.hosts.len()).then_some(())
        })
        .await;
    }

    /// What the control plane knows of `host`.
    pub async fn record(&self, host: &Host) -> serde_json::Value {
        let shown = self.operator().floe(&["hosts", "show", &host.id(), "--output", "json"]).await;
        shown.succeeded().json()
    }

    /// Waits until an activation of `serial` on `host` has ended; gives its outcome.
    pub async fn ends(&self, host: &Host, serial: u64) -> String {
        let what = format!("{} to end serial {serial}", host.name());
        eventually(&what, async || self.outcome(host, serial).await).await
    }

    /// How an activation of `serial` on `host` ended, if one has.
    pub async fn outcome(&self, host: &Host, serial: u64) -> Option<String> {
        let activation = self.activation(host, serial).await?;
        let outcome = activation["outcome"].as_str()?;
        // Seen where the story then wants another end.
        println!("{} ended serial {serial}: {activation:#}", host.name());
        Some(outcome.to_owned())
    }

    /// Waits until `host` has confirmed `serial`.
    pub async fn confirms(&self, host: &Host, serial: u64) {
        eventually(&format!("{} to confirm serial {serial}", host.name()), async || {
            (self.record(host).await["host"]["serial"] == serial).then_some(())
        })
        .await;
    }

    /// Waits until the control plane hears that `host` entered `phase`.
    pub async fn enters(&self, host: &Host, phase: &str) {
        eventually(&format!("{} to be {phase}", host.name()), async || {
            (host.agent_status().await["phase"] == phase).then_some(())
        })
        .await;
    }

    /// Asserts that no manifest of `role` was published.
    pub async fn nothing_is_published(&self, role: &str) {
        let start = ["rollout", "start", role, "1", "--output", "json"];
        self.operator().floe(&start).await.ended_with(1).said("is published");
    }

    async fn activation(&self, host: &Host, serial: u64) -> Option<serde_json::Value> {
        let record = self.record(host).await;
        let all = record["activations"].as_array()?;
        all.iter().find(|activation| activation["serial"] == serial).cloned()
    }

    /// The CA that hosts know the control plane by.
    pub fn ca(&self) -> PathBuf {
        self.control.data().join("operator/admin/ca.pem")
    }

    /// The fleet's trust root.
    pub fn trust_root(&self) -> PathBuf {
        self.repository.path().join("trust.json")
    }

    /// The image of a role: what it was baked from is the repository's template.
    async fn image(&mut self, role: &str) -> String {
        if let Some((_, image)) = self.images.iter().find(|(known, _)| known == role) {
            return image.clone();
        }
        let image = image(&self.repository, role).await;
        self.images.push((role.to_owned(), image.clone()));
        image
    }
}

/// What a host knows its fleet by, for its disk.
pub(crate) fn pinned(ca: &Path, trust_root: &Path) -> Vec<String> {
    vec![
        format!("{}:/etc/floe/ca.pem:0644", ca.display()),
        format!("{}:/etc/floe/trust.json:0644", trust_root.display()),
    ]
}

/// What `host` joins its fleet with, likewise.
pub(crate) fn joining(world: &Path, host: &str, token: &str) -> String {
    let join = world.join(format!("{host}.join.toml"));
    std::fs::write(&join, format!("host = \"{host}\"\ntoken = \"{token}\"\n")).unwrap();
    format!("{}:/var/lib/floe/join.toml:0600", join.display())
}

/// Makes the image of a role of `repository`, or finds it.
pub(crate) async fn image(repository: &Repository, role: &str) -> String {
    let base = script::run(&mut Command::new(script::world_script("prepare"))).await;
    let mut image = Command::new(script::world_script("image"));
    script::run(image.arg(base).arg(script::agent()).arg(repository.path()).arg(role)).await
}

impl Drop for Ground {
    /// Hosts first, which end when nobody holds them; then the network they were on.
    fn drop(&mut self) {
        for (name, verb) in [("machine", "down"), ("net", "down")] {
            let ended = std::process::Command::new(script::world_script(name))
                .env("FLOE_WORLD", self.0.path())
                .arg(verb)
                .status();
            assert!(
                ended.is_ok_and(|status| status.success()) || std::thread::panicking(),
                "{name} {verb} failed in {}",
                self.0.path().display()
            );
        }
    }
}

/// The id of the instance `name`.
fn instance_id(name: &str) -> String {
    format!("i-{}", &Digest::of(name.as_bytes()).to_string()[..17])
}

/// The id of the image that the role's instances are launched from.
pub fn image_id(role: &str) -> String {
    format!("ami-{}", &Digest::of(role.as_bytes()).to_string()[..17])
}

pub(crate) fn net(world: &Path) -> Command {
    let mut command = Command::new(script::world_script("net"));
    command.env("FLOE_WORLD", world);
    command
}

/// Runs futures side by side in this task; all that a story needs of concurrency.
pub async fn join_all<T>(futures: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    futures_util::future::join_all(futures).await
}
