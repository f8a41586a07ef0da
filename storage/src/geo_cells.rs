//! The cells of the geohash grid that may hold what lies around a place: the one of the place, and
//! those of its eight neighbours that are needed.
//!
//! ```text
//! north west | north | north east
//! -----------+-------+-----------
//! west       | here  | east
//! -----------+-------+-----------
//! south west | south | south east
//! ```
//!
//! A cell of `steps` halvings is a range of scores, so that its members stand together in the
//! sorted set. Steps are chosen so that a cell is at least as large as what is searched, by Redis's
//! own estimate: near the poles, at the date line and with very large radiuses it leaves members
//! out, and answers are to be equal. The order of the cells is Redis's too: COUNT ANY takes what
//! comes first.

use std::f64::consts::PI;
use std::ops::Range;

use smallvec::SmallVec;

use crate::geohash::{Coordinates, EARTH_RADIUS_M, LATITUDE_MAX, LONGITUDE_MAX, spread};

/// Halvings of each coordinate in a score.
const STEPS_MAX: u32 = 26;

/// Half the width of the map, in metres, as Redis estimates with.
const MAP_HALF_M: f64 = 20_037_726.37;

/// Where cells lie further apart in degrees than in metres: one step less is taken from here on,
/// and another one.
const HIGH_LATITUDES: [f64; 2] = [66.0, 80.0];

/// What surrounds a place, in metres.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Shape {
    Circle { radius: f64 },
    Box { width: f64, height: f64 },
}

impl Shape {
    /// The distance of a place from the centre, if it lies within. The one opposite on the globe
    /// may be no number of metres away; it lies within.
    pub fn distance_m(self, centre: Coordinates, place: Coordinates) -> Option<f64> {
        let is_beyond = |distance: f64, limit: f64| distance > limit;
        match self {
            Self::Circle { radius } => {
                let distance = centre.distance_m(place);
                (!is_beyond(distance, radius)).then_some(distance)
            }
            Self::Box { width, height } => {
                let beside = Coordinates {
                    longitude: centre.longitude,
                    latitude: place.latitude,
                };
                if is_beyond(centre.latitude_distance_m(place), height / 2.0)
                    || is_beyond(place.distance_m(beside), width / 2.0)
                {
                    return None;
                }
                Some(centre.distance_m(place))
            }
        }
    }

    /// Half the width and half the height.
    fn halves(self) -> (f64, f64) {
        match self {
            Self::Circle { radius } => (radius, radius),
            Self::Box { width, height } => (width / 2.0, height / 2.0),
        }
    }

    /// How far its edge reaches.
    fn reach(self) -> f64 {
        match self {
            Self::Circle { radius } => radius,
            Self::Box { width, height } => {
                let (width, height) = (width / 2.0, height / 2.0);
                (width * width + height * height).sqrt()
            }
        }
    }
}

/// Degrees from one side to the other.
#[derive(Clone, Copy)]
struct Extent {
    west: f64,
    east: f64,
    south: f64,
    north: f64,
}

/// The least and greatest degrees of a shape. (East and west are taken at the edge that is farther
/// from the equator.)
fn extent_of(shape: Shape, centre: Coordinates) -> Extent {
    // To the last bit as C does it.
    let degrees = |radians: f64| radians / (PI / 180.0);
    let (half_width, half_height) = shape.halves();
    let up = degrees(half_height / EARTH_RADIUS_M);
    let edge = if centre.latitude < 0.0 {
        centre.latitude - up
    } else {
        centre.latitude + up
    };
    let aside = degrees(half_width / EARTH_RADIUS_M / edge.to_radians().cos());
    Extent {
        west: centre.longitude - aside,
        east: centre.longitude + aside,
        south: centre.latitude - up,
        north: centre.latitude + up,
    }
}

/// How often the map is to be halved so that a cell still is as large as this.
fn estimate_steps(reach_m: f64, latitude: f64) -> u32 {
    if reach_m == 0.0 {
        return STEPS_MAX;
    }
    let (mut reach, mut steps) = (reach_m, 1i32);
    while reach < MAP_HALF_M {
        reach *= 2.0;
        steps += 1;
    }
    steps -= 2;
    steps -= HIGH_LATITUDES
        .iter()
        .filter(|&&from| latitude.abs() > from)
        .count() as i32;
    steps.clamp(1, STEPS_MAX as i32) as u32
}

/// A cell of the grid whose coordinates are halved `steps` times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cell {
    column: u32,
    row: u32,
    steps: u32,
}

impl Cell {
    /// The cell of a place. On the very edge of the map it has a number one too high, as in Redis.
    fn of(place: Coordinates, steps: u32) -> Self {
        let part = |value: f64, max: f64| {
            let offset = (value + max) / (2.0 * max) * f64::from(1u32 << steps);
            offset as u32
        };
        Self {
            column: part(place.longitude, LONGITUDE_MAX),
            row: part(place.latitude, LATITUDE_MAX),
            steps,
        }
    }

    /// The cell so many columns to the east and rows to the north; the map goes round in both
    /// directions.
    fn beside(self, east: i32, north: i32) -> Self {
        let mask = (1u32 << self.steps) - 1;
        let moved = |part: u32, by: i32| match by {
            0 => part,
            by => part.wrapping_add_signed(by) & mask,
        };
        Self {
            column: moved(self.column, east),
            row: moved(self.row, north),
            steps: self.steps,
        }
    }

    fn extent(self) -> Extent {
        let parts = f64::from(1u32 << self.steps);
        let degrees = |part: u32, max: f64| -max + (f64::from(part) / parts) * (2.0 * max);
        Extent {
            west: degrees(self.column, LONGITUDE_MAX),
            east: degrees(self.column + 1, LONGITUDE_MAX),
            south: degrees(self.row, LATITUDE_MAX),
            north: degrees(self.row + 1, LATITUDE_MAX),
        }
    }

    /// The scores of the places in it.
    pub fn scores(self) -> Range<f64> {
        let bits = spread(self.row) | spread(self.column) << 1;
        let shift = 2 * (STEPS_MAX - self.steps);
        // At most 54 bits.
        (bits << shift) as f64..((bits + 1) << shift) as f64
    }
}

/// The cells to search for what lies within `shape` around `centre`, in the order in which to
/// search them.
pub fn cells_around(centre: Coordinates, shape: Shape) -> SmallVec<[Cell; 9]> {
    let wanted = extent_of(shape, centre);
    let mut here = Cell::of(centre, estimate_steps(shape.reach(), centre.latitude));
    let reaches = |cell: Cell| {
        cell.beside(0, 1).extent().north < wanted.north
            || cell.beside(0, -1).extent().south > wanted.south
            || cell.beside(1, 0).extent().east < wanted.east
            || cell.beside(-1, 0).extent().west > wanted.west
    };
    // The neighbours do not reach far enough.
    if here.steps > 1 && reaches(here) {
        here = Cell::of(centre, here.steps - 1);
    }
    let extent = here.extent();
    let is_needed = |east: i32, north: i32| {
        here.steps < 2
            || !(north < 0 && extent.south < wanted.south
                || north > 0 && extent.north > wanted.north
                || east < 0 && extent.west < wanted.west
                || east > 0 && extent.east > wanted.east)
    };
    let mut cells: SmallVec<[Cell; 9]> = SmallVec::new();
    for (east, north) in [
        (0, 0),
        (0, 1),
        (0, -1),
        (1, 0),
        (-1, 0),
        (1, 1),
        (-1, 1),
        (1, -1),
        (-1, -1),
    ] {
        let cell = here.beside(east, north);
        // On a map of few cells two neighbours may be one, but for the first.
        let is_same = cells.len() > 1 && cells.last() == Some(&cell);
        if is_needed(east, north) && !is_same {
            cells.push(cell);
        }
    }
    cells
}

/// The column and row of a score's cell.
#[cfg(test)]
fn parts_of(hash: u64) -> (u32, u32) {
    use crate::geohash::squash;
    (squash(hash >> 1), squash(hash))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn steps_follow_the_radius() {
        for (reach, latitude, steps) in [
            (0.0, 0.0, 26),
            (1.0, 0.0, 24),
            (1000.0, 0.0, 14),
            (1000.0, 70.0, 13),
            (1000.0, -85.0, 12),
            (5e6, 0.0, 2),
            (1e9, 0.0, 1),
        ] {
            assert_eq!(estimate_steps(reach, latitude), steps, "{reach} {latitude}");
        }
    }

    proptest! {
        /// Where nothing is special, no place within the circle is left out.
        #[test]
        fn what_is_near_is_in_a_cell(
            longitude in -120.0..120.0f64, latitude in -60.0..60.0f64,
            east in -1.0..1.0f64, north in -1.0..1.0f64, reach in 1.0..300_000.0f64,
        ) {
            let centre = Coordinates::new(longitude, latitude).expect("within range");
            let degrees = reach / 111_000.0;
            let place = Coordinates::new(longitude + east * degrees, latitude + north * degrees).expect("within range");
            let shape = Shape::Circle { radius: reach };
            let hash = place.hash();
            prop_assume!(shape.distance_m(centre, Coordinates::of_hash(hash)).is_some());
            let cells = cells_around(centre, shape);
            prop_assert!(cells.iter().any(|cell| cell.scores().contains(&(hash as f64))));
        }

        #[test]
        fn a_cell_is_the_range_of_its_places(longitude in -180.0..180.0f64, latitude in -85.0..85.0f64, steps in 1u32..=26) {
            let place = Coordinates::new(longitude, latitude).expect("within range");
            let cell = Cell::of(place, steps);
            prop_assert!(cell.scores().contains(&(place.hash() as f64)));
            let (column, row) = parts_of(place.hash());
            prop_assert_eq!((column >> (26 - steps), row >> (26 - steps)), (cell.column, cell.row));
            let back = cell.beside(1, -1).beside(-1, 1);
            prop_assert_eq!(back, cell);
        }
    }
}
