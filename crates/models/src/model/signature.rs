//! What a model wants and gives, read from its graph.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::engine::tensor::{Classes, Data, Element, MAX_RANK};
use crate::onnx::Reject;
use crate::onnx::proto::{GraphProto, MapTypeProto, NodeProto, TypeProto, ValueInfoProto};
use crate::onnx::read;

/// One input of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInput {
    /// The name.
    pub name: String,
    /// The type of the elements.
    pub element: Element,
    /// The number of columns: 1 for `[N]` and `[N, 1]`, `k` for `[N, k]`; `None` where the model
    /// leaves it open.
    pub width: Option<usize>,
    /// Whether the model itself does something sensible with missing values of this input (NaN
    /// for numbers, `""` for text): it fills them, or its trees were trained with gaps.
    pub handles_missing: bool,
    /// Where the input is a map whose keys are known, those: a column each.
    pub keys: Option<Arc<Classes>>,
    /// What the columns become.
    pub(crate) form: InputForm,
}

impl ModelInput {
    /// Whether the columns become a map a row.
    pub(crate) fn is_map(&self) -> bool {
        self.form == InputForm::Map
    }
}

/// What the columns of an input become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InputForm {
    /// A vector `[N]`.
    Vector,
    /// A matrix `[N, k]`.
    Matrix,
    /// A tensor `[N, …]` of these further dimensions, filled by the columns in row-major order.
    Deep(Vec<usize>),
    /// A map a row; where its keys are not known they are the columns' numbers, from 0.
    Map,
}

/// What an output holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    /// A classifier's labels, or a clusterer's assignments.
    Labels,
    /// A classifier's scores, one for each class; usually probabilities.
    Probabilities,
    /// Anything else.
    Values,
}

/// One output of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelOutput {
    /// The name.
    pub name: String,
    /// The type of the elements; that of the values where the output is a sequence of maps.
    pub element: Element,
    /// The number of columns where the file tells it.
    pub width: Option<usize>,
    /// What it holds.
    pub kind: OutputKind,
    /// Whether it is a sequence of maps (`ZipMap`).
    pub(crate) maps: bool,
}

/// What a model does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Tells one of two classes.
    BinaryClassifier,
    /// Tells one of any other number of classes.
    MultiClassClassifier,
    /// Gives one number a row.
    Regressor,
    /// Assigns rows to clusters.
    Clusterer,
    /// Anything else, such as a transformation.
    Other,
}

/// Inputs, outputs and task.
pub(crate) struct Signature {
    pub inputs: Vec<ModelInput>,
    pub outputs: Vec<ModelOutput>,
    pub task: Task,
    pub classes: Classes,
}

impl Signature {
    /// Reads the signature of a model's graph.
    pub fn read(graph: &GraphProto) -> Result<Signature, Reject> {
        let initialized: HashSet<&str> =
            graph.initializer.iter().map(|t| t.name.as_str()).collect();
        // Old files list initialisers among the inputs.
        let inputs = graph
            .input
            .iter()
            .filter(|v| !initialized.contains(v.name.as_str()))
            .map(|value| input(graph, value))
            .collect::<Result<Vec<_>, _>>()?;
        let mut outputs = graph
            .output
            .iter()
            .map(output)
            .collect::<Result<Vec<_>, _>>()?;
        if inputs.is_empty() || outputs.is_empty() {
            return Err(Reject::malformed("the graph has no inputs or no outputs"));
        }
        let mut names = HashSet::new();
        for name in inputs
            .iter()
            .map(|i| &i.name)
            .chain(outputs.iter().map(|o| &o.name))
        {
            if name.is_empty() || !names.insert(name) {
                return Err(Reject::malformed(format!(
                    "the name \"{name}\" of an input or output is empty or stands twice"
                )));
            }
        }
        let trace = Trace::new(graph);
        let (task, classes) = task(&trace, &mut outputs);
        Ok(Signature {
            inputs,
            outputs,
            task,
            classes,
        })
    }
}

/// A dimension, where the file has a usable number for it.
fn dimension(dim: &crate::onnx::proto::DimensionProto) -> Option<usize> {
    dim.dim_value
        .and_then(|v| usize::try_from(v).ok())
        .filter(|&v| v > 0)
}

fn input(graph: &GraphProto, value: &ValueInfoProto) -> Result<ModelInput, Reject> {
    let unsupported =
        |what: &str| Reject::unsupported(format!("{what} as the ONNX model input {}", value.name));
    let element_of = |code: i32| {
        read::element(code).map_err(|reject| match reject {
            Reject::Unsupported(what) => unsupported(&what),
            other => other,
        })
    };
    let declared = value
        .r#type
        .as_ref()
        .ok_or_else(|| Reject::malformed(format!("input {} has no type", value.name)))?;
    let tensor = match declared {
        TypeProto {
            tensor_type: Some(tensor),
            ..
        } => tensor,
        TypeProto {
            map_type: Some(map),
            ..
        } => {
            let keys = map_keys(graph, &value.name, map)?;
            let values = map.value_type.as_ref().and_then(|t| t.tensor_type.as_ref());
            let values = values.ok_or_else(|| unsupported("a map of no plain values"))?;
            return Ok(ModelInput {
                name: value.name.clone(),
                element: element_of(values.elem_type)?,
                width: keys.as_ref().map(Classes::len),
                handles_missing: false,
                keys: keys.map(Arc::new),
                form: InputForm::Map,
            });
        }
        TypeProto {
            sequence_type: Some(_),
            ..
        } => return Err(unsupported("a sequence")),
        _ => return Err(unsupported("this type")),
    };
    let element = element_of(tensor.elem_type)?;
    let dims = tensor.shape.as_ref().map(|s| &s.dim[..]);
    let (width, form) = match dims {
        None => (None, InputForm::Matrix),
        // A single number here is the exporter's mistake for the number of rows.
        Some([_]) => (Some(1), InputForm::Vector),
        Some([_, columns]) => (dimension(columns), InputForm::Matrix),
        Some([_, inner @ ..]) if inner.len() < MAX_RANK => {
            let inner: Option<Vec<usize>> = inner.iter().map(dimension).collect();
            let inner = inner.ok_or_else(|| unsupported("a tensor of open dimensions"))?;
            let width = inner.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
            match width {
                Some(width) if width <= MOST_COLUMNS => (Some(width), InputForm::Deep(inner)),
                _ => return Err(unsupported("a tensor of so many columns")),
            }
        }
        Some(other) => {
            return Err(unsupported(&format!("a tensor of rank {}", other.len())));
        }
    };
    Ok(ModelInput {
        name: value.name.clone(),
        element,
        width,
        handles_missing: false,
        keys: None,
        form,
    })
}

/// The most columns that an input may be told by its file to have.
const MOST_COLUMNS: usize = 1 << 16;

/// The keys of an input that is a map. A map's type does not tell them; the operators that take it
/// do, and all of them must tell the same. `None` where any numbers will do: a dense `CastMap`
/// takes what is there.
fn map_keys(graph: &GraphProto, name: &str, map: &MapTypeProto) -> Result<Option<Classes>, Reject> {
    const MOST_KEYS: i64 = MOST_COLUMNS as i64;
    let unsupported =
        |what: &str| Reject::unsupported(format!("a map {what} as the ONNX model input {name}"));
    let mut found: Option<Option<Classes>> = None;
    let takers = graph.node.iter();
    for node in takers.filter(|n| n.input.iter().any(|input| input == name)) {
        let keys = match node.op_type.as_str() {
            "DictVectorizer" => Some(
                labels(node, "string_vocabulary", "int64_vocabulary")
                    .ok_or_else(|| Reject::malformed("a DictVectorizer without a vocabulary"))?,
            ),
            "CastMap" => {
                let attribute = |name: &str| node.attribute.iter().find(|a| a.name == name);
                let form = attribute("map_form").and_then(|a| a.s.as_deref());
                let most = attribute("max_map").and_then(|a| a.i).unwrap_or(1);
                match (form, most) {
                    (Some(b"SPARSE"), 1..=MOST_KEYS) => Some(Classes::Int((0..most).collect())),
                    (Some(b"SPARSE"), _) => return Err(unsupported("of too many keys")),
                    _ => None,
                }
            }
            other => return Err(unsupported(&format!("for the operator {other}"))),
        };
        if found.as_ref().is_some_and(|other| *other != keys) {
            return Err(unsupported("of which operators take other keys"));
        }
        found = Some(keys);
    }
    let keys = found.ok_or_else(|| unsupported("that nothing takes"))?;
    let own = match keys {
        Some(Classes::Str(_)) => Element::Str,
        Some(Classes::Int(_)) | None => Element::I64,
    };
    if read::element(map.key_type)? != own {
        return Err(Reject::malformed(format!(
            "the map {name} has keys of another type than what takes it"
        )));
    }
    let mut names = keys.as_ref().map_or_else(Vec::new, Classes::names);
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Reject::malformed(format!(
            "a key of the map {name} stands twice"
        )));
    }
    Ok(keys)
}

fn output(value: &ValueInfoProto) -> Result<ModelOutput, Reject> {
    let unsupported =
        |what: &str| Reject::unsupported(format!("{what} as the ONNX model output {}", value.name));
    // An output without a declared type is a tensor; a run tells of what.
    let declared = value.r#type.clone().unwrap_or_default();
    if let Some(sequence) = &declared.sequence_type {
        let of_maps = sequence
            .elem_type
            .as_ref()
            .is_some_and(|t| t.map_type.is_some());
        if !of_maps {
            return Err(unsupported("a sequence"));
        }
        return Ok(ModelOutput {
            name: value.name.clone(),
            element: Element::F32,
            width: None,
            kind: OutputKind::Probabilities,
            maps: true,
        });
    }
    if declared.map_type.is_some() {
        return Err(unsupported("a map"));
    }
    let tensor = declared.tensor_type.unwrap_or_default();
    let element = match tensor.elem_type {
        0 => Element::F32,
        code => read::element(code).map_err(|reject| match reject {
            Reject::Unsupported(what) => unsupported(&what),
            other => other,
        })?,
    };
    let width = match tensor.shape.as_ref().map(|s| &s.dim[..]) {
        Some([_]) => Some(1),
        Some([_, columns]) => dimension(columns),
        _ => None,
    };
    Ok(ModelOutput {
        name: value.name.clone(),
        element,
        width,
        kind: OutputKind::Values,
        maps: false,
    })
}

/// Decides what the outputs hold.
fn task(trace: &Trace<'_>, outputs: &mut [ModelOutput]) -> (Task, Classes) {
    let none = Classes::Int(Vec::new());
    let is_label = |o: &ModelOutput| {
        !o.maps
            && matches!(o.element, Element::I64 | Element::Str)
            && o.width.is_none_or(|w| w == 1)
    };
    let is_score = |o: &ModelOutput| o.maps || matches!(o.element, Element::F32 | Element::F64);
    let labels = outputs.iter().position(is_label);
    let scores = outputs.iter().position(is_score);
    let Some(labels) = labels else {
        // Scores alone: a classifier whose labels were left out, or a number a row.
        if let Some(i) = scores
            && outputs.len() == 1
        {
            if outputs[i].maps {
                let classes = trace.zip_map_keys(&outputs[i].name).unwrap_or(none);
                return (classifier(&classes), classes);
            }
            if outputs[i].width == Some(1) {
                return (Task::Regressor, none);
            }
            // Where the width is open, the operator that ends the graph tells.
            if outputs[i].width.is_none() && trace.ends_in_regressor(&outputs[i].name) {
                return (Task::Regressor, none);
            }
        }
        for output in outputs.iter_mut() {
            output.kind = OutputKind::Values;
        }
        return (Task::Other, none);
    };
    let keys = outputs
        .iter()
        .filter(|o| o.maps)
        .find_map(|o| trace.zip_map_keys(&o.name));
    let classes = keys.or_else(|| trace.classes_of_label(&outputs[labels].name));
    match classes {
        Some(classes) if !classes.is_empty() => {
            outputs[labels].kind = OutputKind::Labels;
            if let Some(i) = scores {
                outputs[i].kind = OutputKind::Probabilities;
            }
            (classifier(&classes), classes)
        }
        _ if trace.is_nearest(&outputs[labels].name) => {
            outputs[labels].kind = OutputKind::Labels;
            (Task::Clusterer, none)
        }
        _ => (Task::Other, none),
    }
}

fn classifier(classes: &Classes) -> Task {
    if classes.len() == 2 {
        Task::BinaryClassifier
    } else {
        Task::MultiClassClassifier
    }
}

/// Finds the operators behind a value.
struct Trace<'g> {
    graph: &'g GraphProto,
    makers: HashMap<&'g str, (&'g NodeProto, usize)>,
}

impl<'g> Trace<'g> {
    fn new(graph: &'g GraphProto) -> Trace<'g> {
        let mut makers = HashMap::new();
        for node in &graph.node {
            for (i, name) in node.output.iter().enumerate() {
                makers.insert(name.as_str(), (node, i));
            }
        }
        Trace { graph, makers }
    }

    /// The nodes behind `name`, nearest first, with the number of the output they are reached by.
    fn behind(&self, name: &'g str) -> impl Iterator<Item = (&'g NodeProto, usize)> + '_ {
        let mut queue = VecDeque::from([name]);
        let mut seen: HashSet<&str> = HashSet::from([name]);
        std::iter::from_fn(move || {
            while let Some(name) = queue.pop_front() {
                if let Some(&(node, i)) = self.makers.get(name) {
                    for input in &node.input {
                        if !input.is_empty() && seen.insert(input) {
                            queue.push_back(input);
                        }
                    }
                    return Some((node, i));
                }
            }
            None
        })
    }

    /// The name as the graph's own string, which lives as long as the graph.
    fn own(&self, name: &str) -> Option<&'g str> {
        self.makers.get_key_value(name).map(|(k, _)| *k)
    }

    fn zip_map_keys(&self, name: &str) -> Option<Classes> {
        let name = self.own(name)?;
        let (node, _) = self.behind(name).find(|(n, _)| n.op_type == "ZipMap")?;
        labels(node, "classlabels_strings", "classlabels_int64s")
    }

    /// The classes that a label is one of: those of the nearest classifier whose label output the
    /// value comes from, or a constant list that it is picked from.
    fn classes_of_label(&self, name: &str) -> Option<Classes> {
        let name = self.own(name)?;
        self.behind(name).find_map(|(node, i)| {
            match (node.op_type.as_str(), i) {
                ("TreeEnsembleClassifier", 0) => {
                    labels(node, "classlabels_strings", "classlabels_int64s")
                }
                ("LinearClassifier" | "SVMClassifier", 0) => {
                    labels(node, "classlabels_strings", "classlabels_ints")
                }
                ("ArrayFeatureExtractor" | "Gather", _) => self.constant_list(node.input.first()?),
                // A label that was coded while the model worked, and is decoded at its end.
                ("LabelEncoder", _) => decoded(node),
                _ => None,
            }
        })
    }

    /// The elements of an initialiser or `Constant` of whole numbers or text.
    fn constant_list(&self, name: &str) -> Option<Classes> {
        let proto = match self.graph.initializer.iter().find(|t| t.name == name) {
            Some(t) => t.clone(),
            None => {
                let (node, _) = self.makers.get(name)?;
                let value = node.attribute.iter().find(|a| a.name == "value")?;
                value.t.clone()?
            }
        };
        match read::tensor(proto, name).ok()?.into_parts().1 {
            Data::I64(v) => Some(Classes::Int(v)),
            Data::I32(v) => Some(Classes::Int(v.into_iter().map(i64::from).collect())),
            Data::Str(s) => Some(Classes::Str(s.iter().map(str::to_owned).collect())),
            _ => None,
        }
    }

    /// Whether the label is the index of something smallest, as a nearest centre is.
    fn is_nearest(&self, name: &str) -> bool {
        let Some(name) = self.own(name) else {
            return false;
        };
        self.behind(name)
            .take_while(|(node, _)| {
                [
                    "ArgMin", "Cast", "Identity", "Reshape", "Squeeze", "Flatten", "TopK", "Neg",
                ]
                .contains(&node.op_type.as_str())
            })
            .any(|(node, _)| node.op_type == "ArgMin" || node.op_type == "TopK")
    }

    fn ends_in_regressor(&self, name: &str) -> bool {
        let Some(name) = self.own(name) else {
            return false;
        };
        self.behind(name).any(|(node, _)| {
            [
                "TreeEnsemble",
                "TreeEnsembleRegressor",
                "LinearRegressor",
                "SVMRegressor",
            ]
            .contains(&node.op_type.as_str())
        })
    }
}

/// The class labels among a node's attributes.
fn labels(node: &NodeProto, strings: &str, ints: &str) -> Option<Classes> {
    for attribute in &node.attribute {
        if attribute.name == strings && !attribute.strings.is_empty() {
            let texts = attribute
                .strings
                .iter()
                .map(|s| Some(read::text(s).ok()?.to_owned()));
            return Some(Classes::Str(texts.collect::<Option<_>>()?));
        }
        if attribute.name == ints && !attribute.ints.is_empty() {
            return Some(Classes::Int(attribute.ints.clone()));
        }
    }
    None
}

/// The values of a `LabelEncoder` that goes from numbers to labels.
fn decoded(node: &NodeProto) -> Option<Classes> {
    let from_numbers = node.attribute.iter().any(|a| a.name == "keys_int64s");
    from_numbers.then(|| labels(node, "values_strings", "values_int64s"))?
}
