//! What lies around a place: GEOSEARCH, GEOSEARCHSTORE, and the older GEORADIUS forms.
//!
//! Only the members in the cells around the place are looked at ([`storage::geo_cells`]).

use std::cmp::Ordering;

use protocol::args::Args;
use protocol::reply::Reply;
use storage::geo_cells::{Cell, Shape, cells_around};
use storage::geohash::Coordinates;
use storage::sorted_set::Direction;
use storage::{Score, SortedSet};

use crate::commands::geo::{place, place_of, unit_m, write_distance, write_place};
use crate::commands::options::{Options, integer, is};
use crate::commands::sorted_set::{limits, parse_double};
use crate::commands::sorted_set_range::store;
use crate::commands::sorting;
use crate::context::Context;
use crate::error::{Error, Outcome};
use crate::event::Event;

/// Where the search is, as far as it is known.
#[derive(Clone, Copy)]
enum Centre {
    At(Coordinates),
    /// A member of a key that is not there.
    Nowhere,
}

/// A command's own form.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Search,
    SearchStore,
    Radius { may_store: bool },
}

#[derive(Default)]
struct Wanted<'a> {
    centre: Option<Centre>,
    shape: Option<Shape>,
    unit: f64,
    /// Nearest first, or farthest.
    order: Option<Order>,
    count: usize,
    any: bool,
    distance: bool,
    hash: bool,
    coordinates: bool,
    store: Option<&'a [u8]>,
    store_distance: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Nearest,
    Farthest,
}

struct Found {
    member: Vec<u8>,
    score: Score,
    place: Coordinates,
    distance: f64,
}

/// How two stand to one another. A distance that is no number is less than any.
fn compare(order: Order, a: &Found, b: &Found) -> Ordering {
    let ordering = a.distance.partial_cmp(&b.distance);
    let ordering = ordering.unwrap_or(Ordering::Less);
    match order {
        Order::Nearest => ordering,
        Order::Farthest => ordering.reverse(),
    }
}

fn numeric(text: &[u8], error: &'static str) -> Result<f64, Error> {
    parse_double(text).ok_or(Error::new(error))
}

/// `radius unit`
fn circle(radius: &[u8], unit: &[u8]) -> Result<(Shape, f64), Error> {
    let radius = numeric(radius, "ERR need numeric radius")?;
    if radius < 0.0 {
        return Err(Error::new("ERR radius cannot be negative"));
    }
    let unit = unit_m(unit)?;
    let radius = radius * unit;
    Ok((Shape::Circle { radius }, unit))
}

/// `width height unit`
fn rectangle(width: &[u8], height: &[u8], unit: &[u8]) -> Result<(Shape, f64), Error> {
    let width = numeric(width, "ERR need numeric width")?;
    let height = numeric(height, "ERR need numeric height")?;
    if width < 0.0 || height < 0.0 {
        return Err(Error::new("ERR height or width cannot be negative"));
    }
    let unit = unit_m(unit)?;
    let (width, height) = (width * unit, height * unit);
    Ok((Shape::Box { width, height }, unit))
}

fn centre_of(set: Option<&SortedSet>, member: &[u8]) -> Result<Centre, Error> {
    match set.map(|set| set.score(member)) {
        None => Ok(Centre::Nowhere),
        Some(Some(score)) => Ok(Centre::At(place_of(score))),
        Some(None) => Err(Error::new("ERR could not decode requested zset member")),
    }
}

impl<'a> Wanted<'a> {
    fn parse(
        &mut self,
        set: Option<&SortedSet>,
        args: &Args<'a>,
        from: usize,
        form: Form,
    ) -> Outcome {
        let searches = matches!(form, Form::Search | Form::SearchStore);
        let mut options = Options::new(args, from);
        while let Some(word) = options.next() {
            let left = options.left();
            if is(word, "WITHDIST") {
                self.distance = true;
            } else if is(word, "WITHHASH") {
                self.hash = true;
            } else if is(word, "WITHCOORD") {
                self.coordinates = true;
            } else if is(word, "ANY") {
                self.any = true;
            } else if is(word, "ASC") {
                self.order = Some(Order::Nearest);
            } else if is(word, "DESC") {
                self.order = Some(Order::Farthest);
            } else if is(word, "COUNT") && left > 0 {
                self.count = usize::try_from(integer(options.value()?)?)
                    .ok()
                    .filter(|count| *count > 0)
                    .ok_or(Error::new("ERR COUNT must be > 0"))?;
            } else if form == (Form::Radius { may_store: true })
                && left > 0
                && (is(word, "STORE") || is(word, "STOREDIST"))
            {
                self.store = Some(options.value()?);
                self.store_distance = is(word, "STOREDIST");
            } else if searches && self.centre.is_none() && left > 0 && is(word, "FROMMEMBER") {
                self.centre = Some(centre_of(set, options.value()?)?);
            } else if searches && self.centre.is_none() && left > 1 && is(word, "FROMLONLAT") {
                let (longitude, latitude) = (options.value()?, options.value()?);
                self.centre = Some(Centre::At(place(longitude, latitude)?));
            } else if searches && self.shape.is_none() && left > 1 && is(word, "BYRADIUS") {
                let (shape, unit) = circle(options.value()?, options.value()?)?;
                (self.shape, self.unit) = (Some(shape), unit);
            } else if searches && self.shape.is_none() && left > 2 && is(word, "BYBOX") {
                let (width, height) = (options.value()?, options.value()?);
                let (shape, unit) = rectangle(width, height, options.value()?)?;
                (self.shape, self.unit) = (Some(shape), unit);
            } else if form == Form::SearchStore && is(word, "STOREDIST") {
                self.store_distance = true;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(())
    }

    /// What no single option tells.
    fn check(&self, verb: &[u8], form: Form) -> Outcome {
        if self.store.is_some() && (self.distance || self.hash || self.coordinates) {
            let what = match form {
                Form::SearchStore => "GEOSEARCHSTORE",
                _ => "STORE option in GEORADIUS",
            };
            return Err(Error::from_text(format!(
                "ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            )));
        }
        let verb = String::from_utf8_lossy(verb);
        if self.centre.is_none() {
            return Err(Error::from_text(format!(
                "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {verb}"
            )));
        }
        if self.shape.is_none() {
            return Err(Error::from_text(format!(
                "ERR exactly one of BYRADIUS and BYBOX can be specified for {verb}"
            )));
        }
        if self.any && self.count == 0 {
            Err(Error::new("ERR the ANY argument requires COUNT argument"))
        } else {
            Ok(())
        }
    }

    fn find(&self, set: &SortedSet) -> Vec<Found> {
        let (Some(Centre::At(centre)), Some(shape)) = (self.centre, self.shape) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for cell in cells_around(centre, shape) {
            self.find_in(cell, set, centre, shape, &mut found);
        }
        // The nearest few are asked for, where only their number is told.
        let order = self
            .order
            .or((self.count > 0 && !self.any).then_some(Order::Nearest));
        let returned = match self.count {
            0 => found.len(),
            count => count.min(found.len()),
        };
        if let Some(order) = order {
            let order = |a: &Found, b: &Found| compare(order, a, b);
            if returned == found.len() {
                sorting::sort(&mut found, order)
            } else {
                sorting::sort_part(&mut found, 0..returned, order)
            }
        }
        found.truncate(returned);
        found
    }

    /// Adds what lies within the shape in one cell.
    fn find_in(
        &self,
        cell: Cell,
        set: &SortedSet,
        centre: Coordinates,
        shape: Shape,
        found: &mut Vec<Found>,
    ) {
        let scores = cell.scores();
        let Some(least) = Score::new(scores.start) else {
            return;
        };
        let first = set.first_from_score(least);
        for (member, score) in set.iter_from(first, Direction::Forward) {
            if score.get() >= scores.end || self.any && found.len() == self.count {
                break;
            }
            let place = place_of(score);
            if let Some(distance) = shape.distance_m(centre, place) {
                found.push(Found {
                    member: member.to_vec(),
                    score,
                    place,
                    distance,
                });
            }
        }
    }

    fn write(&self, found: &[Found], reply: &mut Reply<'_>) {
        let extras = [self.distance, self.hash, self.coordinates];
        let extras = extras.into_iter().filter(|wanted| *wanted).count();
        reply.array(found.len());
        for item in found {
            if extras > 0 {
                reply.array(1 + extras);
            }
            reply.bulk(&item.member);
            if self.distance {
                write_distance(reply, item.distance / self.unit);
            }
            if self.hash {
                reply.integer(item.score.get() as i64);
            }
            if self.coordinates {
                write_place(reply, item.place);
            }
        }
    }
}

fn answer(
    ctx: &mut Context<'_>,
    reply: &mut Reply<'_>,
    mut wanted: Wanted<'_>,
    found: Vec<Found>,
    event: Event,
) -> Outcome {
    let limits = limits(ctx);
    let Some(destination) = wanted.store.take() else {
        wanted.write(&found, reply);
        return Ok(());
    };
    let longest = found.iter().map(|item| item.member.len()).max();
    let mut result = SortedSet::for_members(found.len(), longest.unwrap_or(0), limits);
    for item in found {
        let score = if wanted.store_distance {
            Score::new(item.distance / wanted.unit).unwrap_or(item.score)
        } else {
            item.score
        };
        result.insert(&item.member, score, limits);
    }
    // Redis counts places where it stores those, and one change of other sets.
    ctx.effects.dirty += result.len().saturating_sub(1) as u64;
    store(ctx, destination, result, event, reply);
    Ok(())
}

/// `GEOSEARCH key FROMMEMBER member | FROMLONLAT longitude latitude BYRADIUS radius unit | BYBOX
/// width height unit [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]`
pub fn geosearch(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut wanted = Wanted::default();
    let set = ctx.get::<SortedSet>(&args[1])?;
    wanted.parse(set, args, 2, Form::Search)?;
    wanted.check(&args[0], Form::Search)?;
    let found = set.map_or_else(Vec::new, |set| wanted.find(set));
    answer(ctx, reply, wanted, found, Event::GEOSEARCHSTORE)
}

/// `GEOSEARCHSTORE destination source ... [STOREDIST]`
pub fn geosearchstore(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let mut wanted = Wanted {
        store: Some(&args[1]),
        ..Wanted::default()
    };
    let set = ctx.get::<SortedSet>(&args[2])?;
    wanted.parse(set, args, 3, Form::SearchStore)?;
    wanted.check(&args[0], Form::SearchStore)?;
    let found = set.map_or_else(Vec::new, |set| wanted.find(set));
    answer(ctx, reply, wanted, found, Event::GEOSEARCHSTORE)
}

fn radius(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    of_member: bool,
    may_store: bool,
) -> Outcome {
    let form = Form::Radius { may_store };
    let mut wanted = Wanted::default();
    let set = ctx.get::<SortedSet>(&args[1])?;
    let rest = if of_member {
        wanted.centre = Some(centre_of(set, &args[2])?);
        3
    } else {
        wanted.centre = Some(Centre::At(place(&args[2], &args[3])?));
        4
    };
    let (shape, unit) = match (of_member, set) {
        // Nothing is said of the radius then.
        (true, None) => (Shape::Circle { radius: 0.0 }, 1.0),
        _ => circle(&args[rest], &args[rest + 1])?,
    };
    (wanted.shape, wanted.unit) = (Some(shape), unit);
    wanted.parse(set, args, rest + 2, form)?;
    wanted.check(&args[0], form)?;
    let found = set.map_or_else(Vec::new, |set| wanted.find(set));
    answer(ctx, reply, wanted, found, Event::GEORADIUS_STORE)
}

/// `GEORADIUS key longitude latitude radius unit [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT count
/// [ANY]] [ASC | DESC] [STORE key | STOREDIST key]`
pub fn georadius(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    radius(ctx, args, reply, false, true)
}

/// `GEORADIUS_RO`: GEORADIUS without STORE.
pub fn georadius_ro(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    radius(ctx, args, reply, false, false)
}

/// `GEORADIUSBYMEMBER key member radius unit ...`
pub fn georadiusbymember(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    radius(ctx, args, reply, true, true)
}

/// `GEORADIUSBYMEMBER_RO`: the same without STORE.
pub fn georadiusbymember_ro(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
) -> Outcome {
    radius(ctx, args, reply, true, false)
}
