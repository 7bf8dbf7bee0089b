//! Manual pages and completions, from what the command line itself says.
//!
//! Both programs use this file, by its path: what makes pages is needed where a package is
//! made, and in no binary that ships. The same command gives the same bytes, on any day.
//!
//! ```text
//! DIR/share/man/man1/NAME.1, NAME-SUBCOMMAND.1, …
//! DIR/share/bash-completion/completions/NAME
//! DIR/share/zsh/site-functions/_NAME
//! DIR/share/fish/vendor_completions.d/NAME.fish
//! ```

use std::fs;
use std::io;
use std::path::Path;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

/// Writes all of it below `directory`.
pub(crate) fn write(command: Command, directory: &Path) -> io::Result<()> {
    let share = directory.join("share");
    let name = command.get_name().to_owned();
    for (shell, folder, file) in [
        (Shell::Bash, "bash-completion/completions", name.clone()),
        (Shell::Zsh, "zsh/site-functions", format!("_{name}")),
        (Shell::Fish, "fish/vendor_completions.d", format!("{name}.fish")),
    ] {
        // Each builds the command, with `help` and all below it: none of the pages' business.
        let (mut seen, mut script) = (seen(&command), Vec::new());
        clap_complete::generate(shell, &mut seen, name.as_str(), &mut script);
        let script = String::from_utf8(script).map_err(io::Error::other)?;
        // clap_complete 4.6 has the name of a program with a hyphen in two ways, and bash then
        // finds nothing below the first word.
        let (there, sought) = (name.replace('-', "__subcmd__"), name.replace('-', "__"));
        let script = script.replace(&there, &sought);
        put(&share.join(folder), &file, script.as_bytes())?;
    }

    let source = format!("floe {}", command.get_version().unwrap_or_default());
    let mut command = command.disable_help_subcommand(true);
    command.build();
    manual(&command, None, &source, &share.join("man/man1"))
}

/// The command without what is hidden, which bash would be offered all the same. Names are
/// leaked, since clap takes no others: this program ends soon.
fn seen(command: &Command) -> Command {
    let leak = |text: &str| -> &'static str { text.to_owned().leak() };
    let below = command.get_subcommands().filter(|below| !below.is_hide_set());
    let mut seen = Command::new(leak(command.get_name()))
        .args(command.get_arguments())
        .subcommands(below.map(seen));
    if let Some(version) = command.get_version() {
        seen = seen.version(leak(version));
    }
    match command.get_about() {
        Some(about) => seen.about(about.clone()),
        None => seen,
    }
}

/// A page, and one for each command below it that is not hidden.
fn manual(command: &Command, above: Option<&str>, source: &str, to: &Path) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        manual(below, Some(&name), source, to)?;
    }
    let page = Man::new(command.clone()).title(name.to_uppercase()).source(source).manual("floe");
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    if command.get_subcommands().any(|below| !below.is_hide_set()) {
        page.render_subcommands_section(&mut text)?;
    }
    // clap_mangen would set this as one paragraph, in which nobody finds an example.
    if let Some(help) = command.get_after_long_help().or_else(|| command.get_after_help()) {
        text.extend_from_slice(after(&help.to_string()).as_bytes());
    }
    if let Some(above) = above {
        text.extend_from_slice(format!(".SH \"SEE ALSO\"\n.BR {} (1)\n", set(above)).as_bytes());
    }
    put(to, &page.get_filename(), &text)
}

/// What stands below the options: the examples line by line, the rest as paragraphs.
fn after(help: &str) -> String {
    let mut roff = String::new();
    let mut notes = false;
    for paragraph in help.split("\n\n") {
        if let Some(examples) = paragraph.trim_start().strip_prefix("Examples:\n") {
            roff += ".SH EXAMPLES\n.nf\n";
            for line in examples.lines() {
                roff += &format!("{}\n", set(line));
            }
            roff += ".fi\n";
            continue;
        }
        roff += if notes { ".PP\n" } else { ".SH NOTES\n" };
        notes = true;
        for line in paragraph.lines() {
            roff += &format!("{}\n", set(line.trim_start()));
        }
    }
    roff
}

/// A line of text, of which roff takes nothing for a request or a nicer character: examples
/// are copied from pages.
fn set(line: &str) -> String {
    let line = line.trim_end().replace('\\', "\\e").replace('-', "\\-");
    let line = line.replace('\'', "\\(aq").replace('`', "\\(ga").replace('^', "\\(ha");
    let line = line.replace('~', "\\(ti").replace('"', "\\(dq");
    if line.starts_with('.') { format!("\\&{line}") } else { line }
}

fn put(folder: &Path, file: &str, content: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join(file), content)
}
