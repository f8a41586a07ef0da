//! Where on the map to look for what lies around a place: up to nine cells of the geohash grid, each a range of scores.
//!
//! ```text
//!   NW | N | NE      The grid is as fine as it can be while the middle cell and its neighbours cover what is searched; neighbours that
//!   ---+---+---      it does not reach are left out. A cell of n steps is all hashes with the same 2n high bits.
//!    W | x | E
//!   ---+---+---      The order in which cells are looked through is that of replies where none is asked for, so it is Redis's, and so is
//!   SW | S | SE      every rounding: at the poles and around half the globe its choice leaves places out, and they are left out here.
//! ```

use std::ops::Range;

use crate::geohash::{EARTH_RADIUS_M, LATITUDE_MAX, LONGITUDE_MAX, Place, STEPS, interleave, part};

/// Half the Earth's circumference on the Mercator map, in metres: what one step of the grid covers.
const MAP_HALF_M: f64 = 20_037_726.37;

/// Beyond these latitudes cells are so narrow that the grid must be coarser by one step, and by another.
const NARROW_LATITUDES: [f64; 2] = [66.0, 80.0];

/// How far a search reaches from its centre, in metres.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    /// To the east and the west.
    pub width_m: f64,
    /// To the north and the south.
    pub height_m: f64,
    /// To the farthest point.
    pub farthest_m: f64,
}

/// One cell of a grid of `2^steps` by `2^steps`. The column, or row, at the map's upper edge is one too high.
#[derive(Clone, Copy)]
struct Cell {
    column: u64,
    row: u64,
    steps: u32,
}

impl Cell {
    fn of(place: Place, steps: u32) -> Self {
        Self {
            column: part(place.longitude, LONGITUDE_MAX, steps),
            row: part(place.latitude, LATITUDE_MAX, steps),
            steps,
        }
    }

    /// The cell beside it; the map is a torus.
    fn beside(self, columns: i64, rows: i64) -> Self {
        let wrap = |at: u64, by: i64| match by {
            0 => at,
            by => at.wrapping_add_signed(by) & ((1 << self.steps) - 1),
        };
        Self {
            column: wrap(self.column, columns),
            row: wrap(self.row, rows),
            steps: self.steps,
        }
    }

    fn edge(self, at: u64, max: f64) -> f64 {
        -max + at as f64 / (1u64 << self.steps) as f64 * (2.0 * max)
    }

    fn west(self) -> f64 {
        self.edge(self.column, LONGITUDE_MAX)
    }

    fn east(self) -> f64 {
        self.edge(self.column + 1, LONGITUDE_MAX)
    }

    fn south(self) -> f64 {
        self.edge(self.row, LATITUDE_MAX)
    }

    fn north(self) -> f64 {
        self.edge(self.row + 1, LATITUDE_MAX)
    }

    /// The hashes within.
    fn hashes(self) -> Range<u64> {
        let bits = interleave(self.row, self.column);
        let shift = 2 * (STEPS - self.steps);
        bits << shift..(bits + 1) << shift
    }
}

/// The rectangle of coordinates that a search reaches, in degrees.
struct Bounds {
    west: f64,
    east: f64,
    south: f64,
    north: f64,
}

impl Bounds {
    fn new(centre: Place, reach: Reach) -> Self {
        let degrees = |radians: f64| radians / (std::f64::consts::PI / 180.0);
        let rise = degrees(reach.height_m / EARTH_RADIUS_M);
        // Meridians are nearest to one another on the side of the pole.
        let polar = match centre.latitude < 0.0 {
            true => centre.latitude - rise,
            false => centre.latitude + rise,
        };
        let side = degrees(reach.width_m / EARTH_RADIUS_M / polar.to_radians().cos());
        Self {
            west: centre.longitude - side,
            east: centre.longitude + side,
            south: centre.latitude - rise,
            north: centre.latitude + rise,
        }
    }

    /// Whether a cell and its four neighbours cover it.
    fn is_covered_around(&self, cell: Cell) -> bool {
        let is_beyond = cell.beside(0, 1).north() < self.north
            || cell.beside(0, -1).south() > self.south
            || cell.beside(1, 0).east() < self.east
            || cell.beside(-1, 0).west() > self.west;
        !is_beyond
    }
}

/// How fine a grid may be for a search of this reach.
fn steps_for(farthest_m: f64, latitude: f64) -> u32 {
    if farthest_m == 0.0 {
        return STEPS;
    }
    let mut steps = 1;
    let mut covered = farthest_m;
    while covered < MAP_HALF_M {
        covered *= 2.0;
        steps += 1;
    }
    // Two less, so that a cell is at least as wide as the search.
    let narrower = NARROW_LATITUDES
        .iter()
        .filter(|&&limit| latitude.abs() > limit);
    (steps - 2 - narrower.count() as i32).clamp(1, STEPS as i32) as u32
}

/// The ranges of hashes to look through, in order.
pub fn around(centre: Place, reach: Reach) -> impl Iterator<Item = Range<u64>> {
    let bounds = Bounds::new(centre, reach);
    let mut steps = steps_for(reach.farthest_m, centre.latitude);
    if steps > 1 && !bounds.is_covered_around(Cell::of(centre, steps)) {
        steps -= 1;
    }
    let cell = Cell::of(centre, steps);
    let all = steps < 2;
    let north = all || cell.north() <= bounds.north;
    let south = all || cell.south() >= bounds.south;
    let east = all || cell.east() <= bounds.east;
    let west = all || cell.west() >= bounds.west;
    let neighbours = [
        (0, 1, north),
        (0, -1, south),
        (1, 0, east),
        (-1, 0, west),
        (1, 1, north && east),
        (-1, 1, north && west),
        (1, -1, south && east),
        (-1, -1, south && west),
    ];
    let mut last: Option<Range<u64>> = None;
    let neighbours = neighbours
        .into_iter()
        .filter(|(.., wanted)| *wanted)
        .map(move |(columns, rows, _)| cell.beside(columns, rows).hashes())
        // On the coarsest grid the neighbour on one side is that on the other.
        .filter(move |hashes| last.replace(hashes.clone()).as_ref() != Some(hashes));
    std::iter::once(cell.hashes()).chain(neighbours)
}
