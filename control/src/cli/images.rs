//! `floe images`: which images give their instances which role.

use clap::{Args, Subcommand};
use floe_proto::id::Role;
use floe_proto::pb;

use super::connection::Connection;
use super::context::Context;
use super::end::End;
use super::view::image::{ImageChangeView, ImageView, ImagesView};
use crate::enrol::instance::{Account, ImageId, Region};

/// List images, put one on record, take one off
///
/// An instance on EC2 that was launched from an image on record enrols by itself, once,
/// and gets the image's role. About every other machine an operator decides.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct Images {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List images and their roles
    #[command(after_help = LIST_EXAMPLES)]
    List,
    /// Put an image on record: instances that are launched from it get the role
    #[command(after_help = ADD_EXAMPLES)]
    Add {
        /// Which image
        image: ImageId,
        /// The role that its instances get
        #[arg(long)]
        role: Role,
        #[command(flatten)]
        place: Place,
    },
    /// Take an image off the record; hosts that enrolled from it stay
    #[command(after_help = REMOVE_EXAMPLES)]
    Remove {
        /// Which image
        image: ImageId,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Args, Debug)]
struct Place {
    /// The account in which instances are launched [default: the control plane's only one]
    #[arg(long)]
    account: Option<Account>,
    /// The region that the image is in [default: the control plane's only one]
    #[arg(long)]
    region: Option<Region>,
}

const EXAMPLES: &str = "\
Examples:
  floe images
  floe images add ami-0123456789abcdef0 --role www.fossable.org
  floe images remove ami-0123456789abcdef0";

const LIST_EXAMPLES: &str = "\
Examples:
  floe images list --output json";

const ADD_EXAMPLES: &str = "\
Examples:
  floe images add ami-0123456789abcdef0 --role www.fossable.org
  floe images add ami-0123456789abcdef0 --role www.fossable.org --region eu-central-1";

const REMOVE_EXAMPLES: &str = "\
Examples:
  floe images remove ami-0123456789abcdef0 --region eu-central-1";

impl Images {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<End> {
        match self.command.unwrap_or(Command::List) {
            Command::List => {
                let connection = context.connect().await?;
                context.print(&list(&connection).await?)?;
            }
            Command::Add { image, role, place } => {
                // Without a repository nobody knows which roles there are.
                if let Ok(repository) = context.repository() {
                    repository.role_directory(&role)?;
                }
                let connection = context.connect().await?;
                let refusal = connection.refusal(&format!("put the image `{image}` on record"));
                let (account, region) = place.said();
                let (id, role) = (image.to_string(), role.into());
                let request = pb::AddImageRequest { id, role, account, region };
                let image = connection.admission().add_image(request).await.map_err(refusal)?;
                let image = image.into_inner().into();
                context.print(&ImageChangeView { image, change: "added" })?;
            }
            Command::Remove { image, place } => {
                let connection = context.connect().await?;
                let refusal =
                    connection.refusal(&format!("take the image `{image}` off the record"));
                let (account, region) = place.said();
                let request = pb::RemoveImageRequest { id: image.to_string(), account, region };
                let image = connection.admission().remove_image(request).await.map_err(refusal)?;
                let image = image.into_inner().into();
                context.print(&ImageChangeView { image, change: "removed" })?;
            }
        }
        Ok(End::Done)
    }
}

impl Place {
    fn said(self) -> (String, String) {
        let Self { account, region } = self;
        (
            account.map(|account| account.to_string()).unwrap_or_default(),
            region.map(|region| region.to_string()).unwrap_or_default(),
        )
    }
}

async fn list(connection: &Connection) -> anyhow::Result<ImagesView> {
    let listed = connection.admission().list_images(pb::ListImagesRequest {}).await;
    let images = listed.map_err(connection.refusal("list images"))?.into_inner().images;
    Ok(ImagesView { images: images.into_iter().map(ImageView::from).collect() })
}
