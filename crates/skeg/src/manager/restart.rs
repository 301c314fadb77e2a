// SPDX-License-Identifier: ISC
//! `skeg restart`: restarts services with what depends on them.

use super::open::{Opened, open};
use super::report::{Reporter, ended, session_error};
use super::status::select;
use crate::applet::Call;
use engine::Towards;
use live::{Access, History};
use run::oneshot::protocol::MAX_SCRIPTS;
use run::{Note, Session, Terms};

pub const OPTIONS: &str = "+ l=livedir v#verbosity t#timeout w#wait -m#max-scripts<256";
const _: () = assert!(MAX_SCRIPTS == 256);

pub fn main(call: &Call) -> Result<u8, u8> {
    call.operand(t!("which services?"))?;
    let scripts = call.scripts()?;
    let mut opened = open(call, call.live(), Access::Change, call.patience())?;
    let selected = select(call, &opened)?;
    let Opened { live, image } = &mut *opened;
    let history = History::open(live.locked().sv()).ok();
    let mut reporter = Reporter::new(call.name, image, call.number(b'v', 2), history);
    let mut note = |n: Note| reporter.take(n);
    let terms = Terms { deadline: call.deadline(), scripts, ..Terms::new(Towards::Up) };
    let failed = |e| session_error(call, call.live(), e);
    let mut desk = None;
    let mut session = Session::new(&mut desk, image, live, &mut note).map_err(failed)?;
    let outcome = run::restart::restart(&mut session, image, selected, terms).map_err(failed)?;
    Ok(ended(call, outcome))
}
