//! What every page has around it: its head, the way to all others, and who looks.

use maud::{DOCTYPE, Markup, html};

use super::assets::at;
use crate::ops::access::{Caller, Role};

/// htmx styles nothing in place; what somebody unfolded stays so while a part is fetched anew.
const CONFIG: &str = r#"{"includeIndicatorCSS":false,"history":false,"morphIgnore":["data-htmx-powered","open"]}"#;

/// A view: one place in the list of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// How everything is.
    Health,
    /// What fires.
    Triggers,
    /// Who is known.
    People,
    /// What leaves.
    Activations,
    /// What could not.
    Letters,
    /// What the nights found.
    Nightly,
    /// Where it comes from.
    Connectors,
    /// What vendors let through.
    Quota,
    /// Who may come in.
    Access,
}

impl View {
    /// All there are, in the order in which they are shown.
    pub const ALL: [Self; 9] = [
        Self::Health,
        Self::Triggers,
        Self::People,
        Self::Activations,
        Self::Letters,
        Self::Nightly,
        Self::Connectors,
        Self::Quota,
        Self::Access,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Health => "Health",
            Self::Triggers => "Triggers",
            Self::People => "People",
            Self::Activations => "Activations",
            Self::Letters => "Dead letters",
            Self::Nightly => "Nightly",
            Self::Connectors => "Connectors",
            Self::Quota => "Quota",
            Self::Access => "Access",
        }
    }

    /// Where it is.
    pub fn path(self) -> &'static str {
        match self {
            Self::Health => "/",
            Self::Triggers => "/triggers",
            Self::People => "/people",
            Self::Activations => "/activations",
            Self::Letters => "/letters",
            Self::Nightly => "/nights",
            Self::Connectors => "/connectors",
            Self::Quota => "/quota",
            Self::Access => "/access",
        }
    }
}

/// One page, to be filled in.
pub struct Page<'p> {
    /// Who looks.
    pub caller: &'p Caller,
    /// Which view it belongs to; none for who looks.
    pub view: Option<View>,
    /// Its heading, and the browser's title.
    pub title: &'p str,
    /// What stands beside the heading.
    pub beside: Markup,
    /// True where something is wrong: the browser's tab shows it.
    pub is_trouble: bool,
}

impl<'p> Page<'p> {
    /// With nothing beside the heading.
    pub fn new(caller: &'p Caller, view: impl Into<Option<View>>, title: &'p str) -> Self {
        Self { caller, view: view.into(), title, beside: html! {}, is_trouble: false }
    }

    /// With this beside the heading.
    #[must_use]
    pub fn beside(self, beside: Markup) -> Self {
        Self { beside, ..self }
    }

    /// The whole page, about this.
    pub fn with(&self, main: &Markup) -> Markup {
        let shown = |view: &View| *view != View::Access || self.caller.may(Role::Admin);
        let who = html! {
            p.who { span.muted { "Signed in as " } a href="/account" { (self.caller.name) } " " span.chip { (self.caller.role.word()) } }
        };
        let head = head(self.title, self.is_trouble, &html! {});
        let heading = html! { h1 { (self.title) } (self.beside) };
        whole(&head, self.view, shown, &who, &heading, main)
    }
}

fn whole(
    head: &Markup,
    here: Option<View>,
    shown: impl Fn(&View) -> bool,
    who: &Markup,
    heading: &Markup,
    main: &Markup,
) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head)
            body {
                a.skip href="#main" { "Skip to the content" }
                div.frame {
                    header.side {
                        a.brand href="/" { (mark()) span { "Espalier" } }
                        nav aria-label="Views" {
                            ul { @for view in View::ALL.iter().filter(|view| shown(view)) {
                                li { a href=(view.path()) aria-current=[(Some(*view) == here).then_some("page")] { (view.name()) } }
                            } }
                        }
                        (who)
                    }
                    main #main tabindex="-1" { div.head { (heading) } (main) }
                }
                p #said.said role="status" aria-live="polite" {}
            }
        }
    }
}

/// A page for somebody who is nobody yet: its title, what goes into its head beside that, and what it is about.
pub fn plain(title: &str, more: &Markup, main: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(title, false, more))
            body.plain { main #main { a.brand href="/" { (mark()) span { "Espalier" } } h1 { (title) } (main) } }
        }
    }
}

fn head(title: &str, is_trouble: bool, more: &Markup) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            meta name="htmx-config" content=(CONFIG);
            title { (title) " · Espalier" }
            link rel="icon" href=(icon(is_trouble));
            link rel="stylesheet" href=(at("uplot.css"));
            link rel="stylesheet" href=(at("style.css"));
            script src=(at("htmx.js")) defer {}
            script src=(at("uplot.js")) defer {}
            script src=(at("page.js")) defer {}
            (more)
        }
    }
}

/// A tree that is led along a frame.
fn mark() -> Markup {
    html! {
        svg.mark viewBox="0 0 24 24" width="20" height="20" aria-hidden="true" {
            path d="M12 22V3M12 18H4V13M12 18h8v-5M12 11H6V7M12 11h6V7" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" {}
        }
    }
}

/// A dot in the browser's tab: green while all is well, red when somebody should look.
fn icon(is_trouble: bool) -> String {
    let colour = if is_trouble { "%23c2410c" } else { "%232f855a" };
    format!(
        "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'><circle cx='4' cy='4' r='4' fill='{colour}'/></svg>"
    )
}
