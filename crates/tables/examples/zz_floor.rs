use std::hint::black_box; use std::sync::Arc; use std::time::Instant;
use tables::*;
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
fn time(label:&str, mut f: impl FnMut()) { let mut best=u128::MAX; for _ in 0..50 { let t=Instant::now(); for _ in 0..1000 { f(); } best=best.min(t.elapsed().as_nanos()); } println!("{label}: {} ns", best as f64/1000.0); }
fn main(){
 let schema=Arc::new(Schema::new((0..30).map(|i|Field::new(format!("f{i}"),DataType::Double)).collect()).unwrap());
 time("30 vec", ||{ let v:Vec<Vec<f64>>=(0..30).map(|i|vec![black_box(i as f64)]).collect(); black_box(&v); });
 time("30 vec reserve+push", ||{ let v:Vec<Vec<f64>>=(0..30).map(|i|{let mut v=Vec::with_capacity(1); v.push(black_box(i as f64)); v}).collect(); black_box(&v); });
 time("30 arc column", ||{ let v:Vec<Arc<Column>>=(0..30).map(|i|Arc::new(Column::from(vec![black_box(i as f64)]))).collect(); black_box(&v); });
 time("table", ||{ let v:Vec<Arc<Column>>=(0..30).map(|i|Arc::new(Column::from(vec![black_box(i as f64)]))).collect(); black_box(Table::new(schema.clone(), v)); });
 let texts:Vec<String>=(0..30).map(|i|format!("{:.3}",((i*31+1) as f64).sqrt())).collect();
 time("parse fast_float", ||{ for t in &texts { black_box(fast_float2::parse::<f64,_>(black_box(t)).unwrap()); } });
 time("parse_f64 ours", ||{ for t in &texts { black_box(tables::text::parse_f64(black_box(t)).unwrap()); } });
 let nums:Vec<f64>=texts.iter().map(|t|t.parse().unwrap()).collect();
 println!("size column {} values {}", size_of::<Column>(), size_of::<Values>());
}
