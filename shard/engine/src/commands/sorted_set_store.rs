//! Unions, intersections and differences of sorted sets, and of sets among them, shown or stored.
//!
//! Sums of doubles depend on their order: sources are taken from the smallest on, as Redis takes
//! them, so that the last digit is the same.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use protocol::args::Args;
use protocol::reply::Reply;
use storage::{DbIndex, Item, Kind, Score, Set, SortedSet, SortedSetLimits, WrongType};

use crate::commands::options;
use crate::commands::options::{Options, is};
use crate::commands::sorted_set::{begin_entries, limits, parse_double, write_entry};
use crate::commands::sorted_set_range::store;
use crate::context::Context;
use crate::error::{Error, Outcome};
use crate::event::Event;

const WEIGHT_NOT_A_FLOAT: Error = Error::new("ERR weight value is not a float");
const LIMIT_NEGATIVE: Error = Error::new("ERR LIMIT can't be negative");

/// What is made of the sources.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// What becomes of the scores that a member has in several sources.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn parse(text: &[u8]) -> Result<Self, Error> {
        match text {
            word if is(word, "SUM") => Ok(Self::Sum),
            word if is(word, "MIN") => Ok(Self::Min),
            word if is(word, "MAX") => Ok(Self::Max),
            _ => Err(Error::SYNTAX),
        }
    }

    /// Adds the score of one more source. `total` is never NaN: infinities that cancel out are 0.
    fn fold(self, total: f64, next: f64) -> f64 {
        match self {
            Self::Sum => Some(total + next)
                .filter(|sum| !sum.is_nan())
                .unwrap_or_default(),
            Self::Min if next < total => next,
            Self::Max if next > total => next,
            Self::Min | Self::Max => total,
        }
    }
}

/// A set that goes into the operation.
#[derive(Clone, Copy)]
enum Source<'a> {
    /// There is no such key.
    Nothing,
    Sorted(&'a SortedSet),
    /// A set, whose members all have the score 1.
    Plain(&'a Set),
}

impl<'a> Source<'a> {
    /// What is at `key`, which must be a sorted set or a set.
    fn at(ctx: &'a Context<'_>, db: DbIndex, key: &[u8]) -> Result<Self, WrongType> {
        let entry = ctx.databases.get(db).get(key);
        let Some(entry) = entry.filter(|entry| !entry.is_expired(ctx.now)) else {
            return Ok(Self::Nothing);
        };
        match entry.kind() {
            Kind::Set => entry.get().map(Self::Plain),
            _ => entry.get().map(Self::Sorted),
        }
    }

    fn len(self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Sorted(set) => set.len(),
            Self::Plain(set) => set.len(),
        }
    }

    fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Self::Nothing => None,
            Self::Sorted(set) => set.score(member).map(Score::get),
            Self::Plain(set) => set.contains(member).then_some(1.0),
        }
    }

    fn iter(self) -> Box<dyn Iterator<Item = (Item<'a>, f64)> + 'a> {
        match self {
            Self::Nothing => Box::new(std::iter::empty()),
            Self::Sorted(set) => Box::new(set.iter().map(|(member, score)| (member, score.get()))),
            Self::Plain(set) => Box::new(set.iter().map(|member| (member, 1.0))),
        }
    }
}

/// A source with the factor of its scores.
type Weighted<'a> = (Source<'a>, f64);

/// The product, 0 where it is none.
fn weigh(score: f64, weight: f64) -> f64 {
    match score * weight {
        product if product.is_nan() => 0.0,
        product => product,
    }
}

/// Shows the members that all sources have, `sources` being in the order of their sizes, until
/// `show` returns false.
fn intersect(
    sources: &[Weighted<'_>],
    aggregate: Aggregate,
    mut show: impl FnMut(&[u8], f64) -> bool,
) {
    let Some((&(smallest, weight), others)) = sources.split_first() else {
        return;
    };
    let mut digits = itoa::Buffer::new();
    for (member, score) in smallest.iter() {
        let member = member.text(&mut digits);
        let total = others
            .iter()
            .try_fold(weigh(score, weight), |total, &(source, weight)| {
                Some(aggregate.fold(total, source.score(member)? * weight))
            });
        if let Some(total) = total
            && !show(member, total)
        {
            return;
        }
    }
}

/// Members with their scores, in no order.
type Members = Vec<(Vec<u8>, f64)>;

fn unite(sources: &[Weighted<'_>], aggregate: Aggregate) -> Members {
    let mut places: HashMap<Vec<u8>, usize, RandomState> = HashMap::default();
    let mut totals: Vec<f64> = Vec::new();
    let mut digits = itoa::Buffer::new();
    for &(source, weight) in sources {
        for (member, score) in source.iter() {
            let score = weigh(score, weight);
            let member = member.text(&mut digits);
            match places.get(member).and_then(|&at| totals.get_mut(at)) {
                Some(total) => *total = aggregate.fold(*total, score),
                None => {
                    places.insert(member.to_vec(), totals.len());
                    totals.push(score);
                }
            }
        }
    }
    places
        .into_iter()
        .filter_map(|(member, at)| Some((member, *totals.get(at)?)))
        .collect()
}

fn subtract(sources: &[Weighted<'_>]) -> Members {
    let Some((&(first, _), others)) = sources.split_first() else {
        return Members::new();
    };
    first
        .iter()
        .map(|(member, score)| (member.to_vec(), score))
        .filter(|(member, _)| {
            others
                .iter()
                .all(|(other, _)| other.score(member).is_none())
        })
        .collect()
}

/// The sorted set of these members.
fn gather(members: Members, limits: SortedSetLimits) -> SortedSet {
    let longest = members.iter().map(|(member, _)| member.len()).max();
    let mut set = SortedSet::for_members(members.len(), longest.unwrap_or(0), limits);
    for (member, score) in members {
        set.insert(&member, Score::new(score).unwrap_or_default(), limits);
    }
    set
}

/// What a command of this file is called with.
struct Request<'a> {
    keys: Args<'a>,
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
    /// Members that ZINTERCARD counts at the most.
    limit: usize,
}

/// Which options a command has.
#[derive(Clone, Copy)]
struct Form {
    operation: Operation,
    command: &'static str,
    /// The number of the argument that counts the keys.
    count_at: usize,
    /// ZINTERCARD: no option but LIMIT.
    counts_only: bool,
}

impl Form {
    const fn shown(operation: Operation, command: &'static str) -> Self {
        Self {
            operation,
            command,
            count_at: 1,
            counts_only: false,
        }
    }

    const fn stored(operation: Operation, command: &'static str) -> Self {
        Self {
            operation,
            command,
            count_at: 2,
            counts_only: false,
        }
    }
}

impl<'a> Request<'a> {
    /// Reads the arguments. The keys' types are looked at between the keys and the options, as an
    /// error in either may hide the other.
    fn parse(ctx: &mut Context<'_>, args: &Args<'a>, form: Form) -> Result<Self, Error> {
        let keys_at = form.count_at + 1;
        let count = options::integer(&args[form.count_at])?;
        if count < 1 {
            return Err(Error::from_text(format!(
                "ERR at least 1 input key is needed for '{}' command",
                form.command
            )));
        }
        let count = usize::try_from(count).map_err(|_| Error::SYNTAX)?;
        let options_at = keys_at
            .checked_add(count)
            .filter(|&end| end <= args.len())
            .ok_or(Error::SYNTAX)?;
        let keys = Args::new(
            args.bytes(),
            args.spans().get(keys_at..options_at).unwrap_or_default(),
            args.large(),
        );
        for key in keys {
            // Counts the hit, and removes what has expired.
            let _ = ctx.read(key);
            Source::at(ctx, ctx.selected, key)?;
        }
        let mut request = Self {
            keys,
            weights: Vec::new(),
            aggregate: Aggregate::Sum,
            with_scores: false,
            limit: usize::MAX,
        };
        request.parse_options(Options::new(args, options_at), form)?;
        Ok(request)
    }

    fn parse_options(&mut self, mut options: Options<'a>, form: Form) -> Outcome {
        let has_scores = form.operation != Operation::Difference && !form.counts_only;
        while let Some(word) = options.next() {
            if has_scores && is(word, "WEIGHTS") && options.left() >= self.keys.len() {
                self.weights.clear();
                for _ in 0..self.keys.len() {
                    let weight = parse_double(options.value()?).ok_or(WEIGHT_NOT_A_FLOAT)?;
                    self.weights.push(weight);
                }
            } else if has_scores && is(word, "AGGREGATE") && options.left() > 0 {
                self.aggregate = Aggregate::parse(options.value()?)?;
            } else if form.count_at == 1 && !form.counts_only && is(word, "WITHSCORES") {
                self.with_scores = true;
            } else if form.counts_only && is(word, "LIMIT") && options.left() > 0 {
                self.limit = match options::at_least(0, options.value()?, LIMIT_NEGATIVE)? {
                    0 => usize::MAX,
                    limit => limit,
                };
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(())
    }

    /// The sources, in the order of their sizes where the operation does not depend on it.
    fn sources<'c>(
        &self,
        ctx: &'c Context<'_>,
        operation: Operation,
    ) -> Result<Vec<Weighted<'c>>, Error> {
        let mut sources = Vec::with_capacity(self.keys.len());
        for (nth, key) in self.keys.iter().enumerate() {
            let weight = self.weights.get(nth).copied().unwrap_or(1.0);
            sources.push((Source::at(ctx, ctx.selected, key)?, weight));
        }
        if operation != Operation::Difference {
            sources.sort_by_key(|(source, _)| source.len());
        }
        Ok(sources)
    }

    /// The set that the operation makes.
    fn result(&self, ctx: &Context<'_>, operation: Operation) -> Result<SortedSet, Error> {
        let sources = self.sources(ctx, operation)?;
        let members = match operation {
            Operation::Union => unite(&sources, self.aggregate),
            Operation::Difference => subtract(&sources),
            Operation::Intersection => {
                let mut members = Members::new();
                intersect(&sources, self.aggregate, |member, score| {
                    members.push((member.to_vec(), score));
                    true
                });
                members
            }
        };
        Ok(gather(members, limits(ctx)))
    }
}

fn show(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>, form: Form) -> Outcome {
    let request = Request::parse(ctx, args, form)?;
    let set = request.result(ctx, form.operation)?;
    begin_entries(reply, set.len(), request.with_scores);
    for (member, score) in set.iter() {
        write_entry(reply, member, score, request.with_scores);
    }
    Ok(())
}

fn compute_and_store(
    ctx: &mut Context<'_>,
    args: &Args<'_>,
    reply: &mut Reply<'_>,
    form: Form,
    event: Event,
) -> Outcome {
    let request = Request::parse(ctx, args, form)?;
    let set = request.result(ctx, form.operation)?;
    store(ctx, &args[1], set, event, reply);
    Ok(())
}

/// `ZUNION numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM | MIN | MAX]
/// [WITHSCORES]`
pub fn zunion(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    show(ctx, args, reply, Form::shown(Operation::Union, "zunion"))
}

/// `ZINTER numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM | MIN | MAX]
/// [WITHSCORES]`
pub fn zinter(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let form = Form::shown(Operation::Intersection, "zinter");
    show(ctx, args, reply, form)
}

/// `ZDIFF numkeys key [key ...] [WITHSCORES]`
pub fn zdiff(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    show(
        ctx,
        args,
        reply,
        Form::shown(Operation::Difference, "zdiff"),
    )
}

/// `ZUNIONSTORE destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM |
/// MIN | MAX]`
pub fn zunionstore(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let form = Form::stored(Operation::Union, "zunionstore");
    compute_and_store(ctx, args, reply, form, Event::ZUNIONSTORE)
}

/// `ZINTERSTORE destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM |
/// MIN | MAX]`
pub fn zinterstore(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let form = Form::stored(Operation::Intersection, "zinterstore");
    compute_and_store(ctx, args, reply, form, Event::ZINTERSTORE)
}

/// `ZDIFFSTORE destination numkeys key [key ...]`
pub fn zdiffstore(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let form = Form::stored(Operation::Difference, "zdiffstore");
    compute_and_store(ctx, args, reply, form, Event::ZDIFFSTORE)
}

/// `ZINTERCARD numkeys key [key ...] [LIMIT limit]`: how many members all have, as far as the
/// limit.
pub fn zintercard(ctx: &mut Context<'_>, args: &Args<'_>, reply: &mut Reply<'_>) -> Outcome {
    let form = Form {
        counts_only: true,
        ..Form::shown(Operation::Intersection, "zintercard")
    };
    let request = Request::parse(ctx, args, form)?;
    let sources = request.sources(ctx, form.operation)?;
    let mut count = 0;
    intersect(&sources, Aggregate::Sum, |_, _| {
        count += 1;
        count < request.limit
    });
    reply.integer(count as i64);
    Ok(())
}
