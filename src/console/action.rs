//! The one registry of what can be done: keys, hints, help and what is possible now all come from here.

mod enabled;

use std::borrow::Cow;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

pub use self::enabled::can_go_back_to;
use self::enabled::{
    always, can_cancel, can_clean_up, can_go_back, can_mark, can_publish, can_roll_back, can_sync, is_known,
};
use super::model::Model;

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionId {
    /// Start a run.
    Sync,
    /// Cancel our run, or another process's.
    Cancel,
    /// Choose what a run is about and start it.
    SyncWith,
    /// Publish a held or prepared run.
    Publish,
    /// Undo the newest publication, or take the marked entities back.
    Rollback,
    /// Go back to what an older run had published.
    GoBack,
    /// Set or release the hold.
    Hold,
    /// Show rows that differ.
    Diff,
    /// Show the rows of a version.
    Rows,
    /// Show the quarantine.
    Quarantine,
    /// Show the newest triggers.
    Triggers,
    /// Mark the chosen entity.
    Mark,
    /// Remove what is no longer needed.
    Cleanup,
    /// Move up.
    Up,
    /// Move down.
    Down,
    /// Move up a page.
    PageUp,
    /// Move down a page.
    PageDown,
    /// Go to the first line.
    Top,
    /// Go to the last line.
    Bottom,
    /// Open what is chosen.
    Open,
    /// Go to the next pane.
    NextPane,
    /// Go to the pane before.
    PreviousPane,
    /// Read everything anew and draw it.
    Refresh,
    /// Show this list.
    Help,
    /// Leave.
    Quit,
}

/// Heading under which an action stands in the help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Work on the database.
    Operations,
    /// Moving about.
    Navigation,
    /// The console itself.
    Console,
}

impl Group {
    /// All groups, in the order of the help.
    pub const ALL: [Self; 3] = [Self::Operations, Self::Navigation, Self::Console];

    /// The heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Operations => "Operations",
            Self::Navigation => "Navigation",
            Self::Console => "Console",
        }
    }
}

/// A key with its modifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub KeyCode, pub KeyModifiers);

impl Key {
    const fn char(character: char) -> Self {
        Self(KeyCode::Char(character), KeyModifiers::NONE)
    }

    const fn code(code: KeyCode) -> Self {
        Self(code, KeyModifiers::NONE)
    }

    const fn ctrl(character: char) -> Self {
        Self(KeyCode::Char(character), KeyModifiers::CONTROL)
    }

    /// Whether `event` is this key. Shift is part of the character that it makes.
    #[must_use]
    pub fn matches(self, event: KeyEvent) -> bool {
        let shift_counts = !matches!(event.code, KeyCode::Char(_) | KeyCode::BackTab);
        let ignored = if shift_counts { KeyModifiers::NONE } else { KeyModifiers::SHIFT };
        event.code == self.0 && event.modifiers.difference(ignored) == self.1
    }

    /// The key as it is written in hints and help.
    #[must_use]
    pub fn label(self) -> String {
        let name = match self.0 {
            KeyCode::Char(' ') => "space".to_owned(),
            KeyCode::Char(character) => character.to_string(),
            KeyCode::Up => "Up".to_owned(),
            KeyCode::Down => "Down".to_owned(),
            KeyCode::PageUp => "PgUp".to_owned(),
            KeyCode::PageDown => "PgDn".to_owned(),
            KeyCode::Home => "Home".to_owned(),
            KeyCode::End => "End".to_owned(),
            KeyCode::Tab => "Tab".to_owned(),
            KeyCode::BackTab => "Shift-Tab".to_owned(),
            KeyCode::Enter => "Enter".to_owned(),
            KeyCode::F(number) => format!("F{number}"),
            other => format!("{other:?}"),
        };
        if self.1.contains(KeyModifiers::CONTROL) { format!("Ctrl-{name}") } else { name }
    }
}

/// Whether something can be done now, or why not.
pub type Possible = Result<(), Cow<'static, str>>;

/// One entry of the registry.
#[derive(Clone, Copy, Debug)]
pub struct Action {
    /// What it is.
    pub id: ActionId,
    /// Its keys, the first of which is shown in the hints.
    pub keys: &'static [Key],
    /// One word for the hints; empty for what needs none.
    pub label: &'static str,
    /// One sentence for the help.
    pub help: &'static str,
    /// Where it stands in the help.
    pub group: Group,
    /// Whether it changes what visitors see or removes something.
    pub dangerous: bool,
    /// Whether it can be done now, or why not.
    pub enabled: fn(&Model) -> Possible,
}

/// All actions.
pub const ACTIONS: &[Action] = &[
    Action {
        id: ActionId::Sync,
        keys: &[Key::char('s')],
        label: "sync",
        help: "Fetch everything from the source and publish it as a whole",
        group: Group::Operations,
        dangerous: true,
        enabled: can_sync,
    },
    Action {
        id: ActionId::Cancel,
        keys: &[Key::char('x')],
        label: "cancel",
        help: "Cancel the run; everything stays as it was",
        group: Group::Operations,
        dangerous: false,
        enabled: can_cancel,
    },
    Action {
        id: ActionId::SyncWith,
        keys: &[Key::char('S')],
        label: "options",
        help: "Choose what a run is about, marked entities only, dry run and more, and start it",
        group: Group::Operations,
        dangerous: true,
        enabled: can_sync,
    },
    Action {
        id: ActionId::Publish,
        keys: &[Key::char('p')],
        label: "publish",
        help: "Publish the held or prepared run, accepting what its guards found; asks first",
        group: Group::Operations,
        dangerous: true,
        enabled: can_publish,
    },
    Action {
        id: ActionId::Rollback,
        keys: &[Key::char('r')],
        label: "rollback",
        help: "Take the newest publication back, or a rollback itself, or the marked entities; asks first",
        group: Group::Operations,
        dangerous: true,
        enabled: can_roll_back,
    },
    Action {
        id: ActionId::GoBack,
        keys: &[Key::char('b')],
        label: "go back",
        help: "Go back to the run chosen among the runs, from its snapshots; asks first",
        group: Group::Operations,
        dangerous: true,
        enabled: can_go_back,
    },
    Action {
        id: ActionId::Hold,
        keys: &[Key::char('H')],
        label: "hold",
        help: "Set the hold, which keeps runs from publishing, or release it; asks first",
        group: Group::Operations,
        dangerous: true,
        enabled: is_known,
    },
    Action {
        id: ActionId::Diff,
        keys: &[Key::char('d')],
        label: "diff",
        help: "Show rows of the chosen entity that differ: backup, held run, snapshots",
        group: Group::Operations,
        dangerous: false,
        enabled: is_known,
    },
    Action {
        id: ActionId::Rows,
        keys: &[Key::char('v')],
        label: "rows",
        help: "Show the rows of the chosen entity: live or of the backup, filtered, one in full",
        group: Group::Operations,
        dangerous: false,
        enabled: is_known,
    },
    Action {
        id: ActionId::Quarantine,
        keys: &[Key::char('u')],
        label: "quarantine",
        help: "Show records of the chosen entity that became no row, and export them",
        group: Group::Operations,
        dangerous: false,
        enabled: is_known,
    },
    Action {
        id: ActionId::Mark,
        keys: &[Key::char(' ')],
        label: "mark",
        help: "Mark the chosen entity for S or r, or take the mark away",
        group: Group::Operations,
        dangerous: false,
        enabled: can_mark,
    },
    Action {
        id: ActionId::Cleanup,
        keys: &[Key::char('c')],
        label: "cleanup",
        help: "Remove old snapshots, leftovers and old runs, and give space back; asks first",
        group: Group::Operations,
        dangerous: true,
        enabled: can_clean_up,
    },
    Action {
        id: ActionId::Triggers,
        keys: &[Key::char('t')],
        label: "triggers",
        help: "Show who triggered runs over HTTP or by the schedule, and what was answered",
        group: Group::Operations,
        dangerous: false,
        enabled: is_known,
    },
    Action {
        id: ActionId::Up,
        keys: &[Key::code(KeyCode::Up), Key::char('k')],
        label: "",
        help: "Move up",
        group: Group::Navigation,
        dangerous: false,
        enabled: always,
    },
    Action {
        id: ActionId::Down,
        keys: &[Key::code(KeyCode::Down), Key::char('j')],
        label: "",
        help: "Move down",
        group: Group::Navigation,
        dangerous: false,
        enabled: always,
    },
    Action {
        id: ActionId::PageUp,
        keys: &[Key::code(KeyCode::PageUp), Key::ctrl('b')],
        label: "",
        help: "Move up a page",
        group: Group::Navigation,
        dangerous: false,
        enabled: always,
    },
    Action {
        id: ActionId::PageDown,
        keys: &[Key::code(KeyCode::PageDown), Key::ctrl('f')],
        label: "",
        help: "Move down a page",
        group: Group::Navigation,
        dangerous: false,
        enabled: always,
    },
    Action {
        id: ActionId::Top,
        keys: &[Key::code(KeyCode::Home), Key::char('g')],
        label: "",
        help: "Go to the first line",
        group: Group::Navigation,
        dangerous: false,
        enabled: always,
    },
    Action {
        id: ActionId::Bottom,
        keys: &[Key::code(KeyCode::End), Key::char('G')],
        label: "",
        help: "Go to the last line; the log follows again",
        group: Group::Navigation,
        dangerous: false,
        enabled: always,
    },
    Action {
        id: ActionId::NextPane,
        keys: &[Key::code(KeyCode::Tab), Key::char('l')],
        label: "pane",
        help: "Go to the next pane: entities, detail, runs, log",
        group: Group::Navigation,
        dangerous: false,
        enabled: always,
    },
    Action {
        id: ActionId::PreviousPane,
        keys: &[Key::code(KeyCode::BackTab), Key::char('h')],
        label: "",
        help: "Go to the pane before",
        group: Group::Navigation,
        dangerous: false,
        enabled: always,
    },
    Action {
        id: ActionId::Open,
        keys: &[Key::code(KeyCode::Enter)],
        label: "open",
        help: "Open the chosen run in full, or go to the chosen entity's detail",
        group: Group::Navigation,
        dangerous: false,
        enabled: always,
    },
    Action {
        id: ActionId::Refresh,
        keys: &[Key::ctrl('l'), Key::code(KeyCode::F(5))],
        label: "",
        help: "Read everything anew and draw the screen again",
        group: Group::Console,
        dangerous: false,
        enabled: always,
    },
    Action {
        id: ActionId::Help,
        keys: &[Key::char('?'), Key::code(KeyCode::F(1))],
        label: "help",
        help: "Show this list",
        group: Group::Console,
        dangerous: false,
        enabled: always,
    },
    Action {
        id: ActionId::Quit,
        keys: &[Key::char('q'), Key::ctrl('c')],
        label: "quit",
        help: "Leave; asks first while a run of ours is going on",
        group: Group::Console,
        dangerous: false,
        enabled: always,
    },
];

/// The action that `event` stands for.
#[must_use]
pub fn find(event: KeyEvent) -> Option<&'static Action> {
    ACTIONS.iter().find(|action| action.keys.iter().any(|key| key.matches(event)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_stands_for_two_actions() {
        for (place, action) in ACTIONS.iter().enumerate() {
            for other in &ACTIONS[place + 1..] {
                for key in action.keys {
                    assert!(!other.keys.contains(key), "{} of {:?} and {:?}", key.label(), action.id, other.id);
                }
                assert_ne!(action.id, other.id);
            }
            assert!(!action.keys.is_empty());
            assert!(!action.help.is_empty());
        }
    }

    #[test]
    fn shift_is_part_of_the_character() {
        let event = |code, modifiers| KeyEvent::new(code, modifiers);
        let id = |event| find(event).map(|action| action.id);
        assert_eq!(id(event(KeyCode::Char('G'), KeyModifiers::SHIFT)), Some(ActionId::Bottom));
        assert_eq!(id(event(KeyCode::BackTab, KeyModifiers::SHIFT)), Some(ActionId::PreviousPane));
        assert_eq!(id(event(KeyCode::Char('c'), KeyModifiers::CONTROL)), Some(ActionId::Quit));
        assert_eq!(id(event(KeyCode::Char('c'), KeyModifiers::NONE)), Some(ActionId::Cleanup));
        assert_eq!(id(event(KeyCode::Char('s'), KeyModifiers::ALT)), None);
    }
}
