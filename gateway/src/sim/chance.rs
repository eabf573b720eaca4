//! What may happen in a run, and how often.

use super::dice::Dice;
use super::law::Law;

/// Keys that runs use: few, so that objects are replaced often.
const KEYS: usize = 8;

/// Something that happens to the cluster, at any time: between steps, and in the middle of a PUT.
#[derive(Debug, Clone, Copy)]
pub(super) enum Upset {
    /// A process dies, and keeps its disk.
    Down(usize),
    /// It comes back.
    Up(usize),
    /// The way to a node is cut, or opened.
    Cut(usize),
    Joined(usize),
    /// A node answers so slowly that answers get lost; or does so no more.
    Slow(usize),
    /// A disk is full; or has room again.
    Full(usize),
    /// A node signs for what it does not keep; or is honest again.
    Forgets(usize),
    /// A node hands out other bytes than it was given; or is honest again.
    Garbles(usize),
    /// A disk is lost with all that is on it.
    DiskLost(usize),
    /// One shard of a disk is damaged.
    Damaged(usize),
    /// A node turns up abroad; or is back.
    Moved(usize),
    /// A node's company is sold to another country, or back.
    Sold(usize),
    /// Another law, or another edition of the same.
    Published(Law),
    /// Time goes on.
    Passed(u64),
}

/// What is done in a step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Upset(Upset),
    /// A PUT of so many bytes, with something that happens half way.
    Put {
        key: usize,
        bytes: usize,
        upset: Option<Upset>,
    },
    /// A PUT whose gateway dies half way.
    PutCutShort {
        key: usize,
        bytes: usize,
    },
    Get {
        key: usize,
    },
    GetFromAbroad {
        key: usize,
    },
    Copy {
        from: usize,
        to: usize,
    },
    Delete {
        key: usize,
    },
    Sweep,
    /// The repair worker and the deletion of old copies do a round each.
    Repair,
    Restart,
}

impl Step {
    pub(super) fn draw(dice: &mut Dice, nodes: usize) -> Self {
        let key = dice.roll(KEYS);
        let bytes = [0, 1_000, 40_000, 70_000, 150_000, 300_000][dice.roll(6)];
        match dice.roll(20) {
            0..5 => Self::Put { key, bytes, upset: dice.one_in(2).then(|| Upset::draw(dice, nodes)) },
            5 => Self::PutCutShort { key, bytes },
            6..9 => Self::Get { key },
            9 => Self::GetFromAbroad { key },
            10 => Self::Copy { from: key, to: dice.roll(KEYS) },
            11 => Self::Delete { key },
            12 => Self::Sweep,
            13 => Self::Repair,
            14 => {
                if dice.one_in(4) {
                    Self::Restart
                } else {
                    Self::Upset(Upset::Passed(61_000))
                }
            }
            _ => Self::Upset(Upset::draw(dice, nodes)),
        }
    }
}

impl Upset {
    fn draw(dice: &mut Dice, nodes: usize) -> Self {
        let node = dice.roll(nodes);
        match dice.roll(20) {
            0 => Self::Down(node),
            1 | 2 => Self::Up(node),
            3 => Self::Cut(node),
            4 | 5 => Self::Joined(node),
            6 => Self::Slow(node),
            7 => Self::Full(node),
            8 => Self::Forgets(node),
            9 => Self::Garbles(node),
            10 => Self::DiskLost(node),
            11 => Self::Damaged(node),
            12 => Self::Moved(node),
            13 => Self::Sold(node),
            14 | 15 => Self::Published(if dice.one_in(2) { Law::Open } else { Law::ALL[dice.roll(3)] }),
            _ => Self::Passed(u64::try_from(dice.roll(12_000)).unwrap()),
        }
    }
}
