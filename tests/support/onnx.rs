//! ONNX files made by hand: a writer of the protobuf wire format that knows nothing of the engine
//! under test, and the small models that the tests are made of.

/// Appends a base-128 varint.
fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a varint field.
fn int(out: &mut Vec<u8>, field: u32, value: i64) {
    varint(out, u64::from(field << 3));
    varint(out, value as u64);
}

/// Appends a length-delimited field.
fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    varint(out, u64::from(field << 3 | 2));
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// An attribute's value.
#[derive(Debug, Clone)]
pub enum Attribute {
    Float(f32),
    Int(i64),
    Text(String),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    Strings(Vec<String>),
    Tensor(Tensor),
}

/// A constant.
#[derive(Debug, Clone)]
pub struct Tensor {
    pub name: String,
    pub dims: Vec<i64>,
    pub data: TensorData,
}

/// Its elements.
#[derive(Debug, Clone)]
pub enum TensorData {
    F32(Vec<f32>),
    I64(Vec<i64>),
}

impl Tensor {
    pub fn f32(name: &str, dims: &[i64], data: Vec<f32>) -> Self {
        Tensor {
            name: name.into(),
            dims: dims.to_vec(),
            data: TensorData::F32(data),
        }
    }

    pub fn i64(name: &str, dims: &[i64], data: Vec<i64>) -> Self {
        Tensor {
            name: name.into(),
            dims: dims.to_vec(),
            data: TensorData::I64(data),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for d in &self.dims {
            int(&mut out, 1, *d);
        }
        let mut raw = Vec::new();
        match &self.data {
            TensorData::F32(v) => {
                int(&mut out, 2, 1);
                v.iter()
                    .for_each(|x| raw.extend_from_slice(&x.to_le_bytes()));
            }
            TensorData::I64(v) => {
                int(&mut out, 2, 7);
                v.iter()
                    .for_each(|x| raw.extend_from_slice(&x.to_le_bytes()));
            }
        }
        bytes(&mut out, 8, self.name.as_bytes());
        bytes(&mut out, 9, &raw);
        out
    }
}

/// A node.
#[derive(Debug, Clone, Default)]
pub struct Node {
    pub op: String,
    pub domain: String,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub attributes: Vec<(String, Attribute)>,
}

impl Node {
    pub fn new(domain: &str, op: &str, inputs: &[&str], outputs: &[&str]) -> Self {
        Node {
            op: op.into(),
            domain: domain.into(),
            inputs: inputs.iter().map(|s| s.to_string()).collect(),
            outputs: outputs.iter().map(|s| s.to_string()).collect(),
            attributes: Vec::new(),
        }
    }

    pub fn with(mut self, name: &str, value: Attribute) -> Self {
        self.attributes.push((name.into(), value));
        self
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for i in &self.inputs {
            bytes(&mut out, 1, i.as_bytes());
        }
        for o in &self.outputs {
            bytes(&mut out, 2, o.as_bytes());
        }
        bytes(&mut out, 4, self.op.as_bytes());
        for (name, value) in &self.attributes {
            let mut a = Vec::new();
            bytes(&mut a, 1, name.as_bytes());
            match value {
                Attribute::Float(v) => {
                    varint(&mut a, 2 << 3 | 5);
                    a.extend_from_slice(&v.to_le_bytes());
                    int(&mut a, 20, 1);
                }
                Attribute::Int(v) => {
                    int(&mut a, 3, *v);
                    int(&mut a, 20, 2);
                }
                Attribute::Text(v) => {
                    bytes(&mut a, 4, v.as_bytes());
                    int(&mut a, 20, 3);
                }
                Attribute::Tensor(v) => {
                    bytes(&mut a, 5, &v.encode());
                    int(&mut a, 20, 4);
                }
                Attribute::Floats(v) => {
                    for x in v {
                        varint(&mut a, 7 << 3 | 5);
                        a.extend_from_slice(&x.to_le_bytes());
                    }
                    int(&mut a, 20, 6);
                }
                Attribute::Ints(v) => {
                    for x in v {
                        int(&mut a, 8, *x);
                    }
                    int(&mut a, 20, 7);
                }
                Attribute::Strings(v) => {
                    for x in v {
                        bytes(&mut a, 9, x.as_bytes());
                    }
                    int(&mut a, 20, 8);
                }
            }
            bytes(&mut out, 5, &a);
        }
        bytes(&mut out, 7, self.domain.as_bytes());
        out
    }
}

/// A graph input or output: name, ONNX element type (1 = f32, 7 = i64, 8 = string), columns of
/// `[N, columns]`.
#[derive(Debug, Clone)]
pub struct Port(pub String, pub i64, pub i64);

/// A model.
#[derive(Debug, Clone, Default)]
pub struct Model {
    pub nodes: Vec<Node>,
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
    pub constants: Vec<Tensor>,
}

impl Model {
    /// The file.
    pub fn encode(&self) -> Vec<u8> {
        let port = |p: &Port| {
            let mut dim_n = Vec::new();
            bytes(&mut dim_n, 2, b"N");
            let mut dim_k = Vec::new();
            int(&mut dim_k, 1, p.2);
            let mut shape = Vec::new();
            bytes(&mut shape, 1, &dim_n);
            bytes(&mut shape, 1, &dim_k);
            let mut tensor = Vec::new();
            int(&mut tensor, 1, p.1);
            bytes(&mut tensor, 2, &shape);
            let mut kind = Vec::new();
            bytes(&mut kind, 1, &tensor);
            let mut value = Vec::new();
            bytes(&mut value, 1, p.0.as_bytes());
            bytes(&mut value, 2, &kind);
            value
        };
        let mut graph = Vec::new();
        for n in &self.nodes {
            bytes(&mut graph, 1, &n.encode());
        }
        bytes(&mut graph, 2, b"test");
        for t in &self.constants {
            bytes(&mut graph, 5, &t.encode());
        }
        for p in &self.inputs {
            bytes(&mut graph, 11, &port(p));
        }
        for p in &self.outputs {
            bytes(&mut graph, 12, &port(p));
        }
        let mut out = Vec::new();
        int(&mut out, 1, 8);
        bytes(&mut out, 7, &graph);
        for (domain, version) in [("", 15), ("ai.onnx.ml", 3)] {
            let mut set = Vec::new();
            bytes(&mut set, 1, domain.as_bytes());
            int(&mut set, 2, version);
            bytes(&mut out, 8, &set);
        }
        out
    }
}

/// `y = Σ coefficient·column + intercept` over float columns `x` of `[N, k]`.
pub fn linear(coefficients: &[f32], intercept: f32) -> Vec<u8> {
    let k = coefficients.len() as i64;
    Model {
        nodes: vec![
            Node::new("ai.onnx.ml", "LinearRegressor", &["x"], &["variable"])
                .with("coefficients", Attribute::Floats(coefficients.to_vec()))
                .with("intercepts", Attribute::Floats(vec![intercept])),
        ],
        inputs: vec![Port("x".into(), 1, k)],
        outputs: vec![Port("variable".into(), 1, 1)],
        constants: vec![],
    }
    .encode()
}

/// A regressor of one float column: the largest cell of a call is the side `n` of a square matrix
/// that is multiplied by itself `times` times, `2·n³·times` operations; the answer is `x`. A call
/// with small cells (a warm-up) is quick, and one of 2,000 takes many seconds.
pub fn slow(times: usize) -> Vec<u8> {
    let mut model = Model {
        inputs: vec![Port("x".into(), 1, 1)],
        outputs: vec![Port("variable".into(), 1, 1)],
        constants: vec![
            Tensor::f32("one", &[1, 1], vec![1.0]),
            Tensor::i64("flat", &[1], vec![1]),
        ],
        ..Model::default()
    };
    model.nodes.push(largest("x", "top"));
    model
        .nodes
        .push(Node::new("", "Max", &["top", "one"], &["side"]));
    model
        .nodes
        .push(Node::new("", "Cast", &["side"], &["side_int"]).with("to", Attribute::Int(7)));
    model
        .nodes
        .push(Node::new("", "Reshape", &["side_int", "flat"], &["n"]));
    model
        .nodes
        .push(Node::new("", "Concat", &["n", "n"], &["square"]).with("axis", Attribute::Int(0)));
    model
        .nodes
        .push(Node::new("", "ConstantOfShape", &["square"], &["m0"]));
    for i in 0..times {
        model.nodes.push(Node::new(
            "",
            "MatMul",
            &[&format!("m{i}"), "m0"],
            &[&format!("m{}", i + 1)],
        ));
    }
    model.nodes.push(largest(&format!("m{times}"), "end"));
    model
        .nodes
        .push(Node::new("", "Add", &["x", "end"], &["variable"]));
    model.encode()
}

/// The largest element of a matrix, as a 1×1 matrix.
fn largest(input: &str, output: &str) -> Node {
    Node::new("", "ReduceMax", &[input], &[output])
        .with("axes", Attribute::Ints(vec![0, 1]))
        .with("keepdims", Attribute::Int(1))
}

/// A regressor of one float column that fills one MiB of memory for each row of a call.
pub fn hungry() -> Vec<u8> {
    Model {
        nodes: vec![
            Node::new("", "MatMul", &["x", "wide"], &["big"]),
            Node::new("", "ReduceMax", &["big"], &["variable"])
                .with("axes", Attribute::Ints(vec![1]))
                .with("keepdims", Attribute::Int(1)),
        ],
        inputs: vec![Port("x".into(), 1, 1)],
        outputs: vec![Port("variable".into(), 1, 1)],
        constants: vec![Tensor::f32("wide", &[1, 256 * 1024], vec![1.0; 256 * 1024])],
    }
    .encode()
}

/// A readable model whose one operator no engine has.
pub fn unknown_operator() -> Vec<u8> {
    Model {
        nodes: vec![Node::new(
            "com.example",
            "Divination",
            &["x"],
            &["variable"],
        )],
        inputs: vec![Port("x".into(), 1, 1)],
        outputs: vec![Port("variable".into(), 1, 1)],
        constants: vec![],
    }
    .encode()
}
