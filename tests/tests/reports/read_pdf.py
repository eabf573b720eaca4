"""What another reader finds in a PDF: read_pdf.py FILE prints it as JSON."""

import json
import sys

from pypdf import PdfReader

reader = PdfReader(sys.argv[1])
catalog = reader.trailer["/Root"]
fonts = set()
for page in reader.pages:
    for font in (page["/Resources"].get("/Font") or {}).values():
        base = font.get_object()
        for descendant in base.get("/DescendantFonts", []):
            descriptor = descendant.get_object()["/FontDescriptor"].get_object()
            embedded = any(key in descriptor for key in ("/FontFile", "/FontFile2", "/FontFile3"))
            fonts.add((str(descriptor["/FontName"]), embedded))
found = {
    "pages": len(reader.pages),
    "text": "\n".join(page.extract_text() for page in reader.pages),
    "xmp": catalog["/Metadata"].get_object().get_data().decode(),
    "language": str(catalog.get("/Lang")),
    "tagged": bool(catalog.get("/MarkInfo", {}).get("/Marked")),
    "structured": "/StructTreeRoot" in catalog,
    "title": reader.metadata.title,
    "fonts": sorted(fonts),
    "scripts": "/OpenAction" in catalog or "/Names" in catalog and "/JavaScript" in catalog["/Names"],
}
print(json.dumps(found, ensure_ascii=False))
