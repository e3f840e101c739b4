"use strict";

const { tabs, tokens } = JSON.parse(document.getElementById("examples").textContent);

// A reload keeps the tabs as they were edited, but their tokens may be older than the page's.
let saved = sessionStorage.getItem("graphiql:tabState");
if (saved) {
  const before = JSON.parse(sessionStorage.getItem("tokens"));
  for (const role in before) saved = saved.replaceAll(before[role], tokens[role] ?? "");
  sessionStorage.setItem("graphiql:tabState", saved);
}
sessionStorage.setItem("tokens", JSON.stringify(tokens));

// GraphiQL fills its editors from here, and opens one more tab if that equals none of the saved ones.
const state = saved ? JSON.parse(saved) : { tabs, activeTabIndex: 0 };
for (const part of ["query", "variables", "headers"]) {
  sessionStorage.setItem(`graphiql:${part}`, state.tabs[state.activeTabIndex][part] ?? "");
}

const url = location.origin + location.pathname;

ReactDOM.createRoot(document.getElementById("graphiql")).render(
  React.createElement(
    GraphiQL,
    {
      fetcher: GraphiQL.createFetcher({
        url,
        subscriptionUrl: url.replace(/^http/, "ws"),
        enableIncrementalDelivery: false,
      }),
      defaultTabs: tabs,
      defaultHeaders: tabs[0].headers,
      plugins: [GraphiQLPluginExplorer.explorerPlugin()],
      shouldPersistHeaders: true,
      storage: sessionStorage,
    },
    React.createElement(GraphiQL.Logo, {}, "Capacity gateway"),
  ),
);
