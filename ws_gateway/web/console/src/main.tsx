import { render } from "preact";
import { App } from "./app";
import { watchForQuestions } from "./attention";
import { desk } from "./desk";
import { history } from "./history";
import "./style.css";

watchForQuestions();
history.start();
render(<App />, document.getElementById("app")!);
desk.connect();
