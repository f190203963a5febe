// typescript-eslint's strictest set, with types, and Solid's own rules.
import solid from "eslint-plugin-solid/configs/typescript";
import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["dist", "e2e", "eslint.config.js", "vitest.config.ts"] },
  ...tseslint.configs.strictTypeChecked,
  { ...solid, files: ["**/*.tsx"] },
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      "max-lines": ["error", 400],
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
      "@typescript-eslint/no-unused-vars": ["error", { varsIgnorePattern: "^_" }],
      // Content only ever becomes text nodes.
      "no-restricted-properties": ["error", { property: "innerHTML" }, { property: "outerHTML" }, { property: "insertAdjacentHTML" }],
      "no-restricted-syntax": ["error", { selector: "JSXAttribute[name.name='innerHTML']", message: "content only ever becomes text nodes" }],
    },
  },
);
