//! CloudFormation templates go on as they are; what is looked for is where their images
//! come from, since floe gives the image as a parameter.

use super::error::Error;
use super::report::{Outcome, Report};
use super::tree::Tree;
use super::yaml::{self, Data, Node};

/// What a template says of its image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stack {
    /// The parameter that every ImageId refers to, where it is one and the same.
    pub(super) image_parameter: Option<String>,
}

/// Whether `name` is a template.
pub(super) fn is_template(tree: &Tree, name: &str) -> bool {
    let ends = [".yml", ".yaml", ".json", ".template"];
    let Ok(text) = tree.text(name) else { return false };
    ends.iter().any(|end| name.ends_with(end))
        && (text.contains("AWSTemplateFormatVersion")
            || (text.contains("Resources") && text.contains("AWS::")))
}

/// Reads the template `name`.
pub(super) fn stack(tree: &Tree, name: &str, report: &mut Report) -> Result<Stack, Error> {
    let root = yaml::document(name, &tree.text(name)?)?;
    let mut images = Vec::new();
    found(&root, &mut images);
    let mut parameters: Vec<Option<String>> = Vec::new();
    for (line, node) in images {
        let parameter = reference(node);
        let is_parameter = |name: &String| {
            root.get("Parameters").is_some_and(|parameters| parameters.get(name).is_some())
        };
        let parameter = parameter.filter(is_parameter);
        let outcome = match (&parameter, node.text()) {
            (Some(parameter), _) => Outcome::into_host_file(&format!(
                "[stack]; a deployment gives the image as the parameter `{parameter}`"
            )),
            (None, Some(image)) => Outcome::Look(format!(
                "`{image}` is written in, so a new image would never be used: write \
                 `ImageId: !Ref ImageId`, and below Parameters `ImageId: {{Type: \
                 \"AWS::EC2::Image::Id\"}}`"
            )),
            (None, None) => Outcome::Look(
                "where this image comes from is not a parameter: write `ImageId: !Ref ImageId`, \
                 and below Parameters `ImageId: {Type: \"AWS::EC2::Image::Id\"}`"
                    .into(),
            ),
        };
        report.add((name, line), "ImageId", outcome);
        parameters.push(parameter);
    }
    let first = parameters.first().cloned().flatten();
    let is_one = parameters.iter().all(|parameter| *parameter == first);
    Ok(Stack { image_parameter: first.filter(|_| is_one) })
}

/// Every `ImageId` of a resource, with its line.
fn found<'a>(node: &'a Node, images: &mut Vec<(usize, &'a Node)>) {
    match &node.data {
        Data::Scalar(_) => {}
        Data::List(list) => list.iter().for_each(|node| found(node, images)),
        Data::Map(map) => {
            for (key, node) in map {
                match key.name.as_str() {
                    "ImageId" if node.get("Type").is_none() => images.push((key.line, node)),
                    "Parameters" | "Outputs" | "Mappings" | "Metadata" => {}
                    _ => found(node, images),
                }
            }
        }
    }
}

/// `!Ref x`, or `{"Ref": "x"}`.
fn reference(node: &Node) -> Option<String> {
    match node.tag.as_deref() {
        Some("!Ref") => node.text().map(ToOwned::to_owned),
        Some(_) => None,
        None => node.get("Ref").and_then(Node::text).map(ToOwned::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Stack, Vec<(usize, &'static str)>) {
        let mut report = Report::default();
        let tree = Tree::of("x", &[("c.yml", text)]);
        let stack = stack(&tree, "c.yml", &mut report).unwrap();
        let found = report.findings().iter().map(|it| (it.line.unwrap(), it.outcome.word()));
        (stack, found.collect())
    }

    #[test]
    fn an_image_that_is_written_in_is_found_with_its_line() {
        let text = "Resources:\n  Www:\n    Type: AWS::EC2::Instance\n    Properties:\n      \
                    ImageId: ami-0123\n      UserData: !Sub \"${AWS::Region}\"\n";
        assert_eq!(read(text), (Stack::default(), vec![(5, "look")]));
    }

    #[test]
    fn a_parameter_is_known_by_either_way_to_refer_to_it() {
        let of = |image: &str| {
            format!("Parameters: {{Ami: {{Type: String}}}}\nResources: {{A: {{ImageId: {image}}}}}")
        };
        for image in ["!Ref Ami", "{Ref: Ami}"] {
            let (stack, found) = read(&of(image));
            assert_eq!(stack.image_parameter.as_deref(), Some("Ami"));
            assert_eq!(found, [(2, "taken over")]);
        }
        let (stack, found) = read(&of("!FindInMap [a, b, c]"));
        assert_eq!((stack.image_parameter, found), (None, vec![(2, "look")]));
    }
}
