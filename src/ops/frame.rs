//! What every page has around it.

use maud::{DOCTYPE, Markup, html};

/// A page: its title, what goes into its head beside that, its header, and what it is about.
pub fn frame(title: &str, head: &Markup, header: &Markup, main: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Espalier: " (title) }
                (head)
                link rel="stylesheet" href="/style.css";
            }
            body {
                header { (header) }
                main { (main) }
            }
        }
    }
}
