#!/usr/bin/env python3
"""Writes r5-elements.json from a full table of FHIR elements.

Usage: generate.py FULL_TABLE.json > r5-elements.json

The full table is {"release": ..., "types": {name: {"base": name|null, "elements": {name: {"t", "min"?, "many"?,
"choice"?, "choiceRequired"?, ...}}}}}. Kept are the types reachable from the resources the server stores or
exchanges; since `contained` may hold any resource, that is every resource and whatever it uses. Reference targets and
code lists are dropped, because the validator does not look at them. See README.md for the notation.
"""
import json
import sys

ROOTS = """AllergyIntolerance CarePlan CareTeam Condition Coverage Device DiagnosticReport DocumentReference Encounter
FamilyMemberHistory Goal Group Immunization Location Medication MedicationDispense MedicationRequest Observation
Organization Patient Practitioner PractitionerRole Procedure Provenance QuestionnaireResponse RelatedPerson
ServiceRequest Specimen Bundle OperationOutcome""".split()


def main():
    with open(sys.argv[1], encoding="utf-8") as source:
        full = json.load(source)
    types = full["types"]

    def is_resource(name):
        while name is not None:
            if name == "Resource":
                return True
            name = types[name]["base"]
        return False

    abstract = {"Base", "Element", "DataType", "Resource", "DomainResource", "BackboneElement", "BackboneType",
                "PrimitiveType", "CanonicalResource", "MetadataResource"}
    reached = set()
    pending = list(ROOTS)
    while pending:
        name = pending.pop()
        if name is None or name in reached:
            continue
        reached.add(name)
        pending.append(types[name]["base"])
        for element in types[name]["elements"].values():
            target = element["t"]
            if target == "Resource":
                pending.extend(other for other in types if is_resource(other) and other not in abstract)
            if target[0].isupper():
                pending.append(target)

    def notation(element):
        text = element["t"]
        if element.get("many"):
            text += "*"
        if element.get("min"):
            text += "!"
        if "choice" in element:
            text += "|" + element["choice"]
            if element.get("choiceRequired"):
                text += "!"
        return text

    lines = []
    for name in sorted(reached):
        entry = {"base": types[name]["base"],
                 "elements": {key: notation(value) for key, value in sorted(types[name]["elements"].items())}}
        if is_resource(name) and name not in abstract:
            entry["resource"] = True
        lines.append(json.dumps(name) + ":" + json.dumps(entry, separators=(",", ":")))
    sys.stdout.write('{"release":' + json.dumps(full["release"]) + ',"types":{\n' + ",\n".join(lines) + "\n}}\n")


if __name__ == "__main__":
    main()
