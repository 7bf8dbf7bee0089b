# A small module system with the same names as nixpkgs' lib, enough for ordinary configuration.nix files.
# Written from scratch for tests; pure builtins; evaluates on nix >= 2.3.
let
  inherit (builtins) attrNames attrValues concatLists concatStringsSep elem elemAt filter foldl' functionArgs
    genList hasAttr head isAttrs isBool isFunction isInt isList isPath isString length listToAttrs mapAttrs
    removeAttrs sort tail toJSON typeOf seq deepSeq isFloat genericClosure;
  lib = rec {
    version = "24.11.mini";
    trivial = { release = "24.11"; };
    id = x: x;
    concatMap = f: xs: concatLists (map f xs);
    optional = c: x: if c then [ x ] else [ ];
    optionals = c: xs: if c then xs else [ ];
    optionalString = c: s: if c then s else "";
    optionalAttrs = c: a: if c then a else { };
    any = builtins.any; all = builtins.all;
    last = xs: elemAt xs (length xs - 1);
    unique = xs: foldl' (acc: x: if elem x acc then acc else acc ++ [ x ]) [ ] xs;
    nameValuePair = name: value: { inherit name value; };
    mapAttrsToList = f: a: map (n: f n a.${n}) (attrNames a);
    mapAttrs' = f: a: listToAttrs (mapAttrsToList f a);
    filterAttrs = p: a: listToAttrs (map (n: nameValuePair n a.${n}) (filter (n: p n a.${n}) (attrNames a)));
    genAttrs = ns: f: listToAttrs (map (n: nameValuePair n (f n)) ns);
    attrByPath = path: d: s: if path == [ ] then s else if isAttrs s && hasAttr (head path) s then attrByPath (tail path) d s.${head path} else d;
    setAttrByPath = path: v: if path == [ ] then v else { ${head path} = setAttrByPath (tail path) v; };
    recursiveUpdate = a: b: if isAttrs a && isAttrs b then a // mapAttrs (n: v: if hasAttr n a then recursiveUpdate a.${n} v else v) b else b;
    concatMapStringsSep = s: f: xs: concatStringsSep s (map f xs);
    concatMapStrings = concatMapStringsSep "";
    concatStrings = concatStringsSep "";
    makeBinPath = concatMapStringsSep ":" (p: "${p}/bin");
    escapeShellArg = s: "'" + builtins.replaceStrings [ "'" ] [ "'\\''" ] (toString s) + "'";
    splitString = separator: text: filter isString (builtins.split (builtins.replaceStrings [ "." "[" ] [ "\\." "\\[" ] separator) text);
    toInt = text: let value = builtins.fromJSON text; in if isInt value then value else throw "toInt: Could not convert ${text} to int.";
    hasPrefix = p: s: builtins.substring 0 (builtins.stringLength p) s == p;
    showOption = concatStringsSep ".";
    isDerivation = x: isAttrs x && (x.type or null) == "derivation";
    versionAtLeast = a: b: builtins.compareVersions a b >= 0;
    inherit concatStringsSep isAttrs isList isString isBool isInt isFunction mapAttrs attrNames attrValues filter elem head tail length foldl' listToAttrs toJSON;
    literalExpression = text: { _type = "literalExpression"; inherit text; };
    # Snippets with an order (lib/strings-with-deps.nix).
    stringAfter = deps: text: { inherit deps text; };
    noDepEntry = stringAfter [ ];
    textClosureList = snippets: let
        walk = foldl' (order: name: if elem name order then order else
          walk order ((snippets.${name} or (throw "attribute '${name}' missing")).deps or [ ]) ++ [ name ]);
      in walk [ ];
    mdDoc = id;
    licenses = import ./licenses.nix;
    sourceTypes = import ./source-types.nix;

    # ---- properties
    mkOverride = priority: content: { _type = "override"; inherit priority content; };
    mkOptionDefault = mkOverride 1500; mkDefault = mkOverride 1000; mkForce = mkOverride 50; mkVMOverride = mkOverride 10;
    mkIf = condition: content: { _type = "if"; inherit condition content; };
    mkMerge = contents: { _type = "merge"; inherit contents; };
    mkOrder = priority: content: { _type = "order"; inherit priority content; };
    mkBefore = mkOrder 500; mkAfter = mkOrder 1500;
    mkAssert = assertion: message: content: mkIf (if assertion then true else throw "\nFailed assertion: ${message}") content;
    mkOption = a: a // { _type = "option"; };
    mkEnableOption = n: mkOption { default = false; type = types.bool; description = "Whether to enable ${n}."; };
    mkPackageOption = pkgs: n: { }: mkOption { type = types.package; default = pkgs.${n}; };
    isType = t: v: isAttrs v && (v._type or null) == t;
    isOption = isType "option";

    # defs: [{file,value,prio?}]; to a flat list without if/merge/override/order
    discharge = defs: concatMap (d:
      if isType "if" d.value then if d.value.condition then discharge [ (d // { value = d.value.content; }) ] else [ ]
      else if isType "merge" d.value then concatMap (v: discharge [ (d // { value = v; }) ]) d.value.contents
      else if isType "override" d.value then [ (d // { value = d.value.content; prio = d.value.priority; }) ] # Not looked into: what loses need not have a value.
      else if isType "order" d.value then discharge [ (d // { value = d.value.content; order = d.value.priority; }) ]
      else [ d ]) defs;
    winners = defs: let
      m = foldl' (a: d: let p = d.prio or 100; in if p < a then p else a) 9999 defs;
      w = filter (d: (d.prio or 100) == m) defs;
    in if any (d: d ? order) w then sort (a: b: (a.order or 1000) < (b.order or 1000)) w else w;
    # push if/merge/override/order on an attrset down to its attributes: { name = [defs]; }
    pushDown = d: let
      v = d.value; wrap = f: mapAttrs (_: map (x: x // { value = f x.value; })) ;
    in if isType "if" v then wrap (x: mkIf v.condition x) (pushDown (d // { value = v.content; }))
       else if isType "override" v then wrap (x: mkOverride v.priority x) (pushDown (d // { value = v.content; }))
       else if isType "order" v then wrap (x: mkOrder v.priority x) (pushDown (d // { value = v.content; }))
       else if isType "merge" v then foldl' (acc: c: let n = pushDown (d // { value = c; }); in
           acc // mapAttrs (k: ds: (acc.${k} or [ ]) ++ ds) n) { } v.contents
       else if isAttrs v then mapAttrs (_: x: [ (d // { value = x; }) ]) v
       else throw "value is a ${typeOf v} while a set was expected, in `${d.file}'";
    zipPush = defs: foldl' (acc: d: let n = pushDown d; in acc // mapAttrs (k: ds: (acc.${k} or [ ]) ++ ds) n) { } defs;

    showDefs = defs: concatMapStrings (d: "\n- In `${d.file}': ${let r = builtins.tryEval (toJSON d.value); in if isFunction d.value then "<function>" else if isDerivation d.value then "<derivation>" else if r.success then r.value else "<error>"}") defs;

    # ---- types
    mkOptionType = { name, description ? name, check ? (_: true), merge ? mergeEqual }: { _type = "option-type"; inherit name description check merge; };
    mergeOne = loc: defs: if length defs == 1 then (head defs).value else throw "The option `${showOption loc}' is defined multiple times while it's expected to be unique.\nDefinition values:${showDefs defs}";
    mergeEqual = loc: defs: let f = head defs; in if length defs == 1 then f.value else if all (d: d.value == f.value) defs then f.value else throw "The option `${showOption loc}' has conflicting definition values:${showDefs defs}\nUse `lib.mkForce value` or `lib.mkDefault value` to change the priority on any of these definitions.";
    evalDefs = type: loc: defs0: let
        defs = winners (discharge defs0); bad = filter (d: !(type.check d.value)) defs;
      in if defs == [ ] then throw "The option `${showOption loc}' was accessed but has no value defined. Try setting the option."
         else if bad != [ ] then throw "A definition for option `${showOption loc}' is not of type `${type.description}'. Definition values:${showDefs bad}"
         else type.merge loc defs;
    types = rec {
      anything = mkOptionType { name = "anything"; merge = loc: ds: if all (d: isAttrs d.value && !(isDerivation d.value)) ds then foldl' (a: d: recursiveUpdate a d.value) { } ds else mergeEqual loc ds; };
      unspecified = anything; raw = mkOptionType { name = "raw"; merge = mergeOne; };
      attrs = mkOptionType { name = "attrs"; check = isAttrs; merge = loc: ds: foldl' (a: d: a // d.value) { } ds; };
      bool = mkOptionType { name = "bool"; description = "boolean"; check = isBool; };
      int = mkOptionType { name = "int"; description = "signed integer"; check = isInt; };
      ints = { positive = addCheck int (x: x > 0); unsigned = addCheck int (x: x >= 0); between = a: b: addCheck int (x: x >= a && x <= b); };
      port = mkOptionType { name = "port"; description = "16 bit unsigned integer; between 0 and 65535 (both inclusive)"; check = x: isInt x && x >= 0 && x <= 65535; };
      float = mkOptionType { name = "float"; check = isFloat; };
      str = mkOptionType { name = "str"; description = "string"; check = isString; };
      singleLineStr = str; nonEmptyStr = addCheck str (s: s != "");
      strMatching = re: mkOptionType { name = "strMatching"; description = "string matching the pattern ${re}"; check = x: isString x && builtins.match re x != null; };
      lines = mkOptionType { name = "lines"; description = "strings concatenated with \"\\n\""; check = isString; merge = loc: ds: concatMapStringsSep "\n" (d: d.value) ds; };
      path = mkOptionType { name = "path"; check = x: isPath x || isDerivation x || (isString x && hasPrefix "/" x); };
      package = mkOptionType { name = "package"; check = x: isDerivation x || (isString x && hasPrefix builtins.storeDir x) || isPath x; };
      shellPackage = package;
      enum = vs: mkOptionType { name = "enum"; description = "one of ${concatMapStringsSep ", " toJSON vs}"; check = x: elem x vs; };
      nullOr = t: mkOptionType { name = "nullOr"; description = "null or ${t.description}"; check = x: x == null || t.check x; merge = loc: ds: if all (d: d.value == null) ds then null else if any (d: d.value == null) ds then throw "The option `${showOption loc}' is defined both null and not null." else t.merge loc ds; };
      either = a: b: mkOptionType { name = "either"; description = "${a.description} or ${b.description}"; check = x: a.check x || b.check x; merge = loc: ds: if all (d: a.check d.value) ds then a.merge loc ds else if all (d: b.check d.value) ds then b.merge loc ds else mergeEqual loc ds; };
      oneOf = ts: foldl' either (head ts) (tail ts);
      uniq = t: t // { merge = mergeOne; };
      listOf = t: mkOptionType { name = "listOf"; description = "list of ${t.description}"; check = isList;
        merge = loc: ds: concatLists (map (d: genList (i: evalDefs t (loc ++ [ "[definition ${toString (i + 1)}]" ]) [ { inherit (d) file; value = elemAt d.value i; } ]) (length d.value)) ds); };
      attrsOf = t: mkOptionType { name = "attrsOf"; description = "attribute set of ${t.description}"; check = isAttrs;
        merge = loc: ds: let z = zipPush ds; live = filter (n: discharge z.${n} != [ ]) (attrNames z); in listToAttrs (map (n: nameValuePair n (evalDefs t (loc ++ [ n ]) z.${n})) live); };
      lazyAttrsOf = attrsOf;
      submodule = m: mkOptionType { name = "submodule"; check = x: isAttrs x || isFunction x || isPath x;
        merge = loc: ds: (evalModules { prefix = loc; specialArgs = { name = last loc; }; modules = (if isList m then m else [ m ]) ++ map (d: { _file = d.file; imports = [ (if isAttrs d.value then { _file = d.file; config = d.value; } else d.value) ]; }) ds; }).config; };
      addCheck = t: c: t // { check = x: t.check x && c x; };
    };

    # ---- modules
    evalModules = { modules, specialArgs ? { }, prefix ? [ ] }: let
      baseArgs = { inherit lib options; config = unchecked; } // specialArgs;
      call = f: let ctx = mapAttrs (n: _: if hasAttr n baseArgs then baseArgs.${n} else unchecked._module.args.${n} or (throw "attribute '${n}' missing: no such module argument")) (functionArgs f); in f (baseArgs // ctx);
      load = parent: m: let
        isFile = isPath m || isString m;
        file = if isFile then toString m else if isAttrs m then m._file or parent else parent;
        v0 = if isFile then import m else m;
        v = if isFunction v0 then call v0 else v0;
        explicit = v ? config || v ? options;
        cfg = if explicit then v.config or { } else removeAttrs v [ "_file" "key" "imports" "disabledModules" "meta" "freeformType" ];
        extra = if explicit then attrNames (removeAttrs v [ "_file" "key" "imports" "options" "config" "disabledModules" "meta" "freeformType" ]) else [ ];
      in if !isAttrs v then throw "module `${file}' does not look like a module (a ${typeOf v})"
         else if extra != [ ] then throw "Module `${file}' has an unsupported attribute `${head extra}'. This is caused by introducing a top-level `config' or `options' attribute. Add configuration attributes immediately on the top level instead, or move all of them (namely: ${concatStringsSep " " extra}) into the explicit `config' attribute."
         else { key = if isFile then file else null; inherit file; options = v.options or { }; config = cfg; imports = v.imports or [ ]; freeform = v.freeformType or null; };
      closure = seen: todo: if todo == [ ] then [ ] else let
          h = head todo; k = if isPath h.m || isString h.m then toString h.m else null;
        in if k != null && elem k seen then closure seen (tail todo)
           else let l = load h.parent h.m; in [ l ] ++ closure (seen ++ optional (k != null) k) (map (m: { inherit m; parent = l.file; }) l.imports ++ tail todo);
      internal = { _file = "<internal>"; options._module.args = mkOption { type = types.attrsOf types.raw; default = { }; }; };
      loaded = closure [ ] (map (m: { inherit m; parent = "<unknown-file>"; }) ([ internal ] ++ modules));
      tree = loc: decls: defs: let
          names = unique (concatMap (d: attrNames d.value) decls); z = zipPush defs;
          res = genAttrs names (n: let
              ds = map (d: d // { value = d.value.${n}; }) (filter (d: d.value ? ${n}) decls); here = loc ++ [ n ]; defsN = z.${n} or [ ];
              opts = filter (d: isOption d.value) ds;
            in if opts != [ ] then (if length opts < length ds then throw "The option `${showOption here}' is a prefix of options in other modules" else
                 let o = foldl' (a: d: a // d.value) { } opts; t = o.type or types.unspecified;
                     all' = optional (o ? default) { file = (head opts).file; value = mkOptionDefault o.default; } ++ defsN;
                     v = evalDefs t here all'; r = if o ? apply then o.apply v else v;
                     ro = if (o.readOnly or false) && length (discharge defsN) > 1 then throw "The option `${showOption here}' is read-only, but it's set multiple times." else r;
                 in { value = ro; opt = o // { loc = here; declarations = map (d: d.file) opts; isDefined = defsN != [ ]; value = ro; definitions = map (d: d.value) (discharge defsN); definitionsWithFiles = defsN; files = map (d: d.file) defsN; }; unmatched = [ ]; })
               else let s = tree here ds defsN; in { value = s.config; opt = s.options; inherit (s) unmatched; });
          bad = filter (n: !(elem n names) && discharge z.${n} != [ ]) (attrNames z);
        in { config = mapAttrs (_: r: r.value) res; options = mapAttrs (_: r: r.opt) res;
             unmatched = map (n: { loc = loc ++ [ n ]; defs = discharge z.${n}; }) bad ++ concatMap (n: res.${n}.unmatched) names; };
      top = tree prefix (map (m: { inherit (m) file; value = m.options; }) loaded) (map (m: { inherit (m) file; value = m.config; }) loaded);
      # What no option declares is the free form's, if there is one (lib/modules.nix, `freeformConfig`).
      forms = filter (f: f != null) (map (m: m.freeform) loaded);
      below = loc: genList (i: elemAt loc (i + length prefix)) (length loc - length prefix);
      free = if forms == [ ] || top.unmatched == [ ] then { } else (head forms).merge prefix
        (concatMap (u: map (d: d // { value = setAttrByPath (below u.loc) d.value; }) u.defs) top.unmatched);
      unchecked = recursiveUpdate free top.config; options = top.options;
      checked = if top.unmatched == [ ] || forms != [ ] then true else let u = head top.unmatched; in throw "The option `${showOption u.loc}' does not exist. Definition values:${showDefs u.defs}";
    in { config = seq checked (removeAttrs unchecked [ "_module" ]); inherit options; type = types.submodule modules; };
  };
in lib
