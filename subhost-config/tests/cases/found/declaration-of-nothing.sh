declare $A
