"use strict";
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  layout: "BaseLayout",
  presets: [SwaggerUIBundle.presets.apis],
  deepLinking: true,
  syntaxHighlight: false, // it takes seconds for a long answer
  tryItOutEnabled: true,
  validatorUrl: null, // the validator runs on another server
});
