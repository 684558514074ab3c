//! Serde types of the APIs, by API and dated version; no behaviour.
//!
//! Servers write these types and clients read them, so unknown members are ignored on the way in
//! and absent ones are left out on the way out.

pub mod arm_2017_01_01;
pub mod arm_plans;
pub mod arm_provider;
pub mod arm_workspaces;
pub mod bes_2_0;
pub mod classic;
pub mod error;
pub mod rrs_2_0;
pub mod studio;
pub mod umpire_v1;
pub mod uploads;
