//! Images, and the roles that they give.

use floe_proto::pb;
use floe_proto::time::Timestamp;
use serde::Serialize;

use super::activation::time;
use super::{Page, View, ago, table};

/// `floe images`: `{images: […]}`, by role.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ImagesView {
    pub(crate) images: Vec<ImageView>,
}

/// One image.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ImageView {
    pub(crate) image: String,
    /// What its instances become.
    pub(crate) role: String,
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) added: Option<Timestamp>,
    pub(crate) added_by: String,
}

/// `floe images add` and `remove`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ImageChangeView {
    #[serde(flatten)]
    pub(crate) image: ImageView,
    /// `added` or `removed`.
    pub(crate) change: &'static str,
}

impl From<pb::Image> for ImageView {
    fn from(image: pb::Image) -> Self {
        Self {
            image: image.id,
            role: image.role,
            account: image.account,
            region: image.region,
            added: time(image.added),
            added_by: image.adder,
        }
    }
}

impl View for ImagesView {
    fn text(&self, page: Page) -> String {
        if self.images.is_empty() {
            return "no image is on record\n".to_owned();
        }
        let rows = self.images.iter().map(|image| {
            let added = format!("{} by {}", ago(page.now, image.added), image.added_by);
            [
                image.image.clone(),
                image.role.clone(),
                image.account.clone(),
                image.region.clone(),
                added,
            ]
        });
        table(page, ["IMAGE", "ROLE", "ACCOUNT", "REGION", "ADDED"], rows)
    }
}

impl View for ImageChangeView {
    fn text(&self, _: Page) -> String {
        let ImageView { image, role, account, region, .. } = &self.image;
        match self.change {
            "added" => {
                format!("instances of `{image}` ({account}, {region}) get the role `{role}`\n")
            }
            _ => format!("instances of `{image}` ({account}, {region}) get no role any more\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let image = ImageView::from(pb::Image {
            account: "123456789012".into(),
            region: "eu-central-1".into(),
            id: "ami-0123456789abcdef0".into(),
            role: "www.fossable.org".into(),
            adder: "ada".into(),
            added: at(1000).as_micros(),
        });
        let page = Page { now: at(1300), width: None };
        let change = ImageChangeView { image: image.clone(), change: "added" };
        let view = ImagesView { images: vec![image] };
        insta::assert_snapshot!(view.text(page));
        insta::assert_snapshot!(serde_json::to_string_pretty(&view).unwrap());
        insta::assert_snapshot!(change.text(page));
        insta::assert_snapshot!(serde_json::to_string_pretty(&change).unwrap());
    }
}
