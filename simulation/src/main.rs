fn main() {
    for seed in 0..std::env::args().nth(1).map_or(10, |n| n.parse().unwrap()) {
        simulation::world::run(seed);
    }
}
