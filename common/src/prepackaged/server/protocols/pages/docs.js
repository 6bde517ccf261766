"use strict";
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  layout: "BaseLayout",
  presets: [SwaggerUIBundle.presets.apis],
  deepLinking: true,
  syntaxHighlight: false, // which takes seconds for a long answer
  tryItOutEnabled: true,
  validatorUrl: null, // it would be asked on another server
});
