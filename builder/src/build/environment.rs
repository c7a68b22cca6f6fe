//! What a builder is started with: its variables, arguments and the files in its build folder, as Nix gives them.

use std::collections::{BTreeMap, BTreeSet};

use bstr::{BStr, BString, ByteSlice, ByteVec};
use serde_json::{Value, json};
use zeval_model::derivation::{DerivationKind, placeholder};
use zeval_model::{Algorithm, Derivation, Hash, StorePath, store_dir};

use super::attributes::Attributes;
use super::error::{BuildError, Malformed};
use super::shell;
use crate::sandbox::Surroundings;
use crate::store::Store;

/// Everything that depends on the derivation and not on the machine.
pub struct Start {
    pub environment: BTreeMap<BString, BString>,
    pub arguments: Vec<BString>,
    /// Files to put into the build folder, by name.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// What the preparation needs to know.
pub struct Preparation<'a> {
    pub store: &'a Store,
    pub drv: &'a Derivation,
    pub kind: DerivationKind,
    pub attributes: &'a Attributes<'a>,
    /// Where the builder writes each output.
    pub scratch: &'a BTreeMap<String, StorePath>,
    /// Everything that the builder sees in the store.
    pub inputs: &'a BTreeSet<StorePath>,
    pub cores: usize,
    pub surroundings: &'a Surroundings,
    /// The certificates' file inside, if the build has the network.
    pub certificates: Option<&'a str>,
}

impl Preparation<'_> {
    pub fn start(&self) -> Result<Start, BuildError> {
        let mut environment = self.defaults();
        let mut files = BTreeMap::new();
        match self.attributes {
            Attributes::Environment(variables) => {
                self.add_variables(variables, &mut environment, &mut files)?;
                self.add_graphs(&mut files)?;
            }
            Attributes::Structured(attributes) => {
                let text = self.structured(attributes)?;
                files.extend(text);
                for (variable, file) in
                    [("NIX_ATTRS_SH_FILE", ".attrs.sh"), ("NIX_ATTRS_JSON_FILE", ".attrs.json")]
                {
                    set(&mut environment, variable, &self.in_build_folder(file));
                }
            }
        }
        for variable in ["NIX_BUILD_TOP", "TMPDIR", "TEMPDIR", "TMP", "TEMP", "PWD"] {
            set(&mut environment, variable, &self.surroundings.build_folder.to_string_lossy());
        }
        if self.kind == DerivationKind::Fixed {
            set(&mut environment, "NIX_OUTPUT_CHECKED", "1");
        }
        self.add_impure_variables(&mut environment)?;
        set(&mut environment, "NIX_LOG_FD", "2");
        set(&mut environment, "TERM", "xterm-256color");
        for value in environment.values_mut() {
            self.fill_placeholders(value);
        }
        Ok(Start { environment, arguments: self.arguments(), files })
    }

    fn in_build_folder(&self, file: &str) -> String {
        format!("{}/{file}", self.surroundings.build_folder.display())
    }

    fn defaults(&self) -> BTreeMap<BString, BString> {
        let mut environment = BTreeMap::new();
        for (name, value) in &self.surroundings.variables {
            set(&mut environment, name, value);
        }
        set(&mut environment, "PATH", "/path-not-set");
        set(&mut environment, "HOME", "/homeless-shelter");
        set(&mut environment, "NIX_STORE", store_dir());
        set(&mut environment, "NIX_BUILD_CORES", &self.cores.to_string());
        environment
    }

    /// The derivation's variables; those to be passed as files become a file and a variable that holds its path.
    fn add_variables(
        &self,
        variables: &BTreeMap<BString, BString>,
        environment: &mut BTreeMap<BString, BString>,
        files: &mut BTreeMap<String, Vec<u8>>,
    ) -> Result<(), BuildError> {
        let as_file = self.attributes.passed_as_file()?;
        for (name, value) in variables {
            if !name.to_str().is_ok_and(|name| as_file.contains(name)) {
                environment.insert(name.clone(), value.clone());
                continue;
            }
            let file = format!(".attr-{}", Hash::of(Algorithm::Sha256, name).to_nix32());
            let mut content = value.clone();
            self.fill_placeholders(&mut content);
            let mut variable = name.clone();
            variable.push_str("Path");
            environment.insert(variable, BString::from(self.in_build_folder(&file)));
            files.insert(file, content.into());
        }
        Ok(())
    }

    /// Variables that a fixed output may take from the user's environment: proxies and the like.
    fn add_impure_variables(&self, environment: &mut BTreeMap<BString, BString>) -> Result<(), BuildError> {
        if !matches!(self.kind, DerivationKind::Fixed | DerivationKind::Impure) {
            return Ok(());
        }
        for name in self.attributes.words("impureEnvVars")?.unwrap_or_default() {
            let value = std::env::var_os(&name).unwrap_or_default();
            let value = Vec::from_os_string(value).unwrap_or_default();
            environment.insert(name.into(), value.into());
        }
        if let Some(file) = self.certificates {
            set(environment, "NIX_SSL_CERT_FILE", file);
        }
        Ok(())
    }

    fn arguments(&self) -> Vec<BString> {
        let name = self.drv.builder.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let mut arguments = vec![BString::from(name)];
        arguments.extend(self.drv.args.iter().cloned());
        arguments.iter_mut().for_each(|argument| self.fill_placeholders(argument));
        arguments
    }

    fn fill_placeholders(&self, text: &mut BString) {
        for (output, path) in self.scratch {
            let placeholder = placeholder(output);
            if text.find(placeholder.as_bytes()).is_some() {
                *text = text.replace(placeholder, path.to_string()).into();
            }
        }
    }

    /// `.attrs.json` and the same for a shell.
    fn structured(
        &self,
        attributes: &serde_json::Map<String, Value>,
    ) -> Result<BTreeMap<String, Vec<u8>>, BuildError> {
        let mut attributes = attributes.clone();
        let outputs: serde_json::Map<_, _> =
            self.scratch.iter().map(|(name, path)| (name.clone(), json!(path.to_string()))).collect();
        attributes.insert("outputs".to_owned(), outputs.into());
        for (key, paths) in self.attributes.exported_graphs()? {
            let closure = self.exported_closure(&paths)?;
            attributes.insert(key, self.describe_closure(&closure)?);
        }
        let text = |text: String| {
            let mut text = BString::from(text);
            self.fill_placeholders(&mut text);
            Vec::from(text)
        };
        let attributes = Value::Object(attributes);
        Ok(BTreeMap::from([
            (".attrs.sh".to_owned(), text(shell::declarations(&attributes))),
            (".attrs.json".to_owned(), text(attributes.to_string())),
        ]))
    }

    /// A file a graph, in the form that `nix-store --load-db` reads, without hashes and derivers.
    fn add_graphs(&self, files: &mut BTreeMap<String, Vec<u8>>) -> Result<(), BuildError> {
        for (file, paths) in self.attributes.exported_graphs()? {
            let mut text = String::new();
            for path in self.exported_closure(&paths)? {
                let references = self.store.require(&path)?.references;
                text.push_str(&format!("{path}\n\n{}\n", references.len()));
                references.iter().for_each(|reference| text.push_str(&format!("{reference}\n")));
            }
            files.insert(file, text.into_bytes());
        }
        Ok(())
    }

    /// The closure of `paths`; that of a derivation holds its outputs, where they are known.
    fn exported_closure(&self, paths: &BTreeSet<String>) -> Result<BTreeSet<StorePath>, BuildError> {
        let mut roots = BTreeSet::new();
        for text in paths {
            let mut text = BString::from(text.as_str());
            self.fill_placeholders(&mut text);
            let (path, _) = StorePath::split_absolute(&text.to_str_lossy())?;
            if !self.inputs.contains(&path) {
                let what = format!("names '{path}', which is no input of the derivation");
                return Err(Malformed::attribute("exportReferencesGraph", what).into());
            }
            roots.insert(path);
        }
        let closure = self.store.closure(&roots)?;
        for path in closure.iter().filter(|path| path.is_derivation()) {
            let drv = self.store.derivation(path)?;
            for (output, kind) in &drv.outputs {
                let built = match kind.path() {
                    Some(path) => Some(path.clone()),
                    None => self.store.realisation(path, output)?,
                };
                roots.extend(built);
            }
        }
        roots.extend(closure);
        Ok(self.store.closure(&roots)?)
    }

    fn describe_closure(&self, closure: &BTreeSet<StorePath>) -> Result<Value, BuildError> {
        let mut descriptions = Vec::new();
        for path in closure {
            let info = self.store.require(path)?;
            let mut closure_size = 0;
            for path in self.store.closure(&BTreeSet::from([path.clone()]))? {
                closure_size += self.store.require(&path)?.nar_size;
            }
            let mut description = json!({
                "path": path.to_string(),
                "narHash": info.nar_hash.to_prefixed_nix32(),
                "narSize": info.nar_size,
                "references": info.references.iter().map(StorePath::to_string).collect::<Vec<_>>(),
                "valid": true,
                "closureSize": closure_size,
            });
            if let Some(address) = info.content_address {
                description["ca"] = json!(address.to_string());
            }
            descriptions.push(description);
        }
        Ok(Value::Array(descriptions))
    }
}

fn set(environment: &mut BTreeMap<BString, BString>, name: &str, value: &str) {
    environment.insert(BStr::new(name).to_owned(), BStr::new(value).to_owned());
}
